"""The online endpoint and batch scoring on this machine."""
