"""What a recording is and how it is made playable: pure functions over files, no database, no store.

Every byte that came from outside is parsed in the sandbox (`sandbox.py`) by a demuxer and decoders that stand on
the allow-list (`allowed.py`). The only package that knows ffmpeg; imports the kernel only.
"""
