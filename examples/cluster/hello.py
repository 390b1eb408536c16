print("hello from a leased worker")
