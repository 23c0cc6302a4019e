"""Which platforms are connected, how a gateway is built, and what a merchant must enter to connect one.

The only package that knows the connectors.
"""

from apps.platforms.registry.fields import (
    ACTIVATION_CODE,
    CredentialField,
    credential_fields,
    displaced_fields,
    once_fields,
    replaced_fields,
    untried_fields,
)
from apps.platforms.registry.gateways import (
    CONNECTORS,
    GatewayOptions,
    bill_day_starts_of,
    capabilities_of,
    close_gives_back,
    connected_platforms,
    gateway_for,
    not_taken,
    polling_session,
    refund_limits_of,
    shared_http,
    signature_headers_of,
)
from apps.platforms.registry.lifetimes import certificate_facts, renews
from apps.platforms.registry.validation import validate_credentials_shape

__all__ = [
    "ACTIVATION_CODE",
    "CONNECTORS",
    "CredentialField",
    "GatewayOptions",
    "bill_day_starts_of",
    "capabilities_of",
    "certificate_facts",
    "close_gives_back",
    "connected_platforms",
    "credential_fields",
    "displaced_fields",
    "gateway_for",
    "not_taken",
    "once_fields",
    "polling_session",
    "refund_limits_of",
    "renews",
    "replaced_fields",
    "shared_http",
    "signature_headers_of",
    "untried_fields",
    "validate_credentials_shape",
]
