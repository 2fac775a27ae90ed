"""One-shot characters on Lake's protocol: a network of local features, trained within alphabets."""
