"""Metro 2, the format in which furnishers report to consumer reporting agencies: read and turned into placements."""
