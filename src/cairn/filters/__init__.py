"""The list-filter languages of the APIs: text in, one syntax tree out, whatever the dialect."""
