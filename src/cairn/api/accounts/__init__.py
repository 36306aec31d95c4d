"""Who may ask: identities, tokens, generated accounts for unmodified Google clients, the one gate."""
