"""What a journey shows of its session to those who search for it in Temporal; no payload codec encrypts it."""

from typing import Final

from temporalio.common import SearchAttributeKey

TENANT_ID: Final = SearchAttributeKey.for_keyword("TenantId")
USER_ID: Final = SearchAttributeKey.for_keyword("UserId")
ACTIVE_AGENT: Final = SearchAttributeKey.for_keyword("ActiveAgent")

SEARCH_ATTRIBUTES: Final = (TENANT_ID.name, USER_ID.name, ACTIVE_AGENT.name)
"""All of them are of the type Keyword and must be registered in the namespace."""
