from leasegrid.leasing.deadlines import DeadlineHeap


def test_leases_come_due_in_the_order_of_their_deadlines() -> None:
    heap = DeadlineHeap()
    for uid, deadline in (("late", 30.0), ("early", 10.0), ("middle", 20.0)):
        heap.set(uid, deadline)
    assert heap.due(5.0) == []
    assert heap.next() == 10.0
    assert heap.due(20.0) == ["early", "middle"]
    assert heap.next() == 30.0


def test_a_deadline_that_was_moved_counts_as_it_was_set_last() -> None:
    heap = DeadlineHeap()
    heap.set("a", 10.0)
    heap.set("a", 40.0)
    assert heap.due(30.0) == []
    assert heap.next() == 40.0


def test_a_lease_that_ended_otherwise_never_comes_due() -> None:
    heap = DeadlineHeap()
    heap.set("a", 10.0)
    heap.drop("a")
    heap.drop("a")
    assert heap.next() is None
    assert heap.due(100.0) == []
