"""What each command prints; `live` follows a build, `board` draws what runs on a terminal."""
