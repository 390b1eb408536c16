"""How quick a caller may be: the rule, by a table."""

import pytest

from leasegrid_operator.broker.rates import Payment, Purse, Rate, pay

RATE = Rate(per_second=10.0, burst=2.0)


@pytest.mark.parametrize(
    ("purse", "now", "expected"),
    [
        pytest.param(None, 5.0, Payment(Purse(1.0, 5.0)), id="a new caller has a full purse"),
        pytest.param(Purse(1.0, 5.0), 5.0, Payment(Purse(0.0, 5.0)), id="the last token is spent"),
        pytest.param(Purse(0.0, 5.0), 5.0, Payment(Purse(0.0, 5.0), 0.1), id="an empty purse says how long to wait"),
        pytest.param(Purse(0.0, 5.0), 5.05, Payment(Purse(0.5, 5.05), 0.05), id="half a token is waited for half"),
        pytest.param(Purse(0.0, 5.0), 5.1, Payment(Purse(0.0, 5.1)), id="after the wait it is allowed"),
        pytest.param(Purse(0.0, 5.0), 99.0, Payment(Purse(1.0, 99.0)), id="a long pause fills up to the burst only"),
        pytest.param(Purse(1.0, 5.0), 4.0, Payment(Purse(0.0, 4.0)), id="a clock that goes back takes nothing away"),
    ],
)
def test_a_request_is_paid_for(purse: Purse | None, now: float, expected: Payment) -> None:
    payment = pay(purse, RATE, now)
    assert payment.purse.tokens == pytest.approx(expected.purse.tokens)
    assert payment.purse.at == expected.purse.at
    assert payment.too_early == pytest.approx(expected.too_early)
