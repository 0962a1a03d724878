"""What would be right on the map: codes, shapes, files, places. Values in, values out."""
