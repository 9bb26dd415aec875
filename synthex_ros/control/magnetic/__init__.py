"""Control of magnetic devices: from wanted fields and forces to currents and magnet poses."""
