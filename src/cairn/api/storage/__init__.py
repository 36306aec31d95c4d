"""The JSON API of Google Cloud Storage over the home's buckets."""
