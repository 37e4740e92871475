"""How keeping ends: lists of what may go (鉴定处置), decided by several people, destroyed, remembered by tombstones."""
