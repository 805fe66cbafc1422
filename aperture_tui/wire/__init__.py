"""Code that protoc made of the messages in proto/. Knows nothing of ours. `make proto` writes it anew."""
