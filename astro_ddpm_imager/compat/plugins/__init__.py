"""What imaging frameworks and viewers load: WSClean's deconvolver, Stimela's cab, glue's data."""
