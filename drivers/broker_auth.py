"""The one user that the embedded broker lets in."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from amqtt.contexts import BaseContext
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session


class OneUserPlugin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt ships no types
    """Admit the configured user with the configured password, nobody else."""

    @dataclass
    class Config:
        """Who that is."""

        user: str = ""
        password: str = ""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._user = str(self._get_config_option("user", "")).encode()
        self._password = str(self._get_config_option("password", "")).encode()

    async def authenticate(self, *, session: Session) -> bool:
        """Tell whether the session may go on."""
        user = (session.username or "").encode()
        password = (session.password or "").encode()
        # Both are compared, so that the time tells nothing about which one is wrong.
        is_user = hmac.compare_digest(user, self._user)
        is_password = hmac.compare_digest(password, self._password)
        return bool(self._user) and is_user and is_password
