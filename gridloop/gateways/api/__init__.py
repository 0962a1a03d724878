"""The REST API: every verb and every list of the loop for machines and programs, each through a `Viewer`."""
