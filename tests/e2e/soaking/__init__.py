"""A cluster that is shaken while claims, jobs and graphs run on it: what shakes it, what runs, and who judges."""
