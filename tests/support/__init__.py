"""What several tests share: real servers, clients and files."""
