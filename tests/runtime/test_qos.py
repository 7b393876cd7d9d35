import pytest

from olympus.runtime.errors import ConfigError
from olympus.runtime.qos import Overflow, QoS, Tier


def test_tiers_sort_by_urgency() -> None:
    assert sorted(Tier, reverse=True)[-1] is Tier.CRITICAL
    assert Tier.CRITICAL < Tier.HIGH < Tier.NORMAL < Tier.LOW < Tier.DEFERRED


def test_a_queue_of_nothing_is_refused_with_a_remedy() -> None:
    with pytest.raises(ConfigError, match="try 1 or 10"):
        QoS.queue(0)


def test_latest_keeps_exactly_one() -> None:
    assert QoS.latest().depth == 1
    with pytest.raises(ConfigError, match="exactly 1"):
        QoS(Overflow.LATEST, 5)


def test_the_names_say_what_is_dropped() -> None:
    assert QoS.queue(3).overflow is Overflow.DROP_OLDEST
    assert QoS.queue(3, drop="newest").overflow is Overflow.DROP_NEWEST
