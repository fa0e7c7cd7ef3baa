"""The search attributes by which a session's workflow is found. No payload codec encrypts them."""

from typing import Final

from temporalio.common import SearchAttributeKey

TENANT_ID: Final = SearchAttributeKey.for_keyword("TenantId")
USER_ID: Final = SearchAttributeKey.for_keyword("UserId")
ACTIVE_AGENT: Final = SearchAttributeKey.for_keyword("ActiveAgent")

SEARCH_ATTRIBUTES: Final = (TENANT_ID.name, USER_ID.name, ACTIVE_AGENT.name)
"""The names of all search attributes. Each is of the type Keyword and must be registered in the namespace."""
