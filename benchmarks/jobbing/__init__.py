"""Jobs on a real control plane with real members: the rig, what is seen of its objects, and the rows."""
