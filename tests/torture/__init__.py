"""Everything a machine may do to an agent's file: kills, failing disks, flipped bits, strangers' bytes."""
