"""How calls to a provider are signed: exactly one way, with what it needs."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.config.scalars import ApiKey, Flag, Text, invalid_hidden, json_schema, matching
from gateway.config.stanza import Stanza
from gateway.core import snapshot

NEVER_KEYLESS: Final[Mapping[str, str]] = {
    "anthropic-vertex": "google",
    "bedrock": "aws",
    "bedrock-invoke": "aws",
}
"""Dialects of one cloud, with its auth. Others have hosts without authentication."""
_AWS_HOST: Final = re.compile(r"bedrock[a-z-]*\.([a-z0-9-]+)\.(amazonaws\.com(\.cn)?|api\.aws)")
_TEXT: Final = json_schema({"type": "string", "minLength": 1})
ApiVersion = Annotated[str, BeforeValidator(matching(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?", "must be a version such as 2024-10-21",
)), _TEXT]  # fmt: skip
AwsRegion = Annotated[str, BeforeValidator(matching(
    r"[a-z]{2}(-[a-z]+)+-[0-9]", "must be an AWS region such as eu-west-1",
)), _TEXT]  # fmt: skip
ScopeUrl = Annotated[str, BeforeValidator(matching(
    r"https://[!-~]+", "must be a scope such as https://www.googleapis.com/auth/cloud-platform",
)), _TEXT]  # fmt: skip


class Azure(Stanza):
    api_version: ApiVersion
    """The `api-version` of every call, such as `2024-10-21`. `base_url` ends in `/openai`."""

    def auth(self) -> snapshot.Auth:
        return snapshot.AzureAuth(self.api_version)


class Aws(Stanza):
    region: AwsRegion
    """The region to sign calls for: the one in `base_url`."""
    access_key_id: ApiKey | None = None
    """With `secret_access_key`. Default: the credentials that AWS's own tools would find."""
    secret_access_key: ApiKey | None = None
    """The secret of `access_key_id`."""
    session_token: ApiKey | None = None
    """The session token of temporary keys."""
    profile: Text | None = None
    """A profile in AWS's shared files, instead of keys."""

    @model_validator(mode="after")
    def _fits(self) -> "Aws":
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise invalid_hidden("needs both access_key_id and secret_access_key, or neither")
        if self.session_token is not None and self.access_key_id is None:
            raise invalid_hidden("needs access_key_id and secret_access_key with its session_token")
        if self.profile is not None and self.access_key_id is not None:
            raise invalid_hidden("takes a profile or keys, not both")
        return self

    def auth(self) -> snapshot.Auth:
        return snapshot.AwsAuth(
            region=self.region,
            access_key_id=None if self.access_key_id is None else str(self.access_key_id),
            secret_access_key=self.secret_access_key,
            session_token=self.session_token,
            profile=self.profile,
        )


class Google(Stanza):
    credentials: Text | None = None
    """A file with a service account's key or a workload identity. Default: the credentials that
    Google's own tools would find."""
    scopes: tuple[ScopeUrl, ...] = (snapshot.GOOGLE_SCOPE,)
    """The scopes of the token."""

    def auth(self) -> snapshot.Auth:
        return snapshot.GoogleAuth(self.credentials, tuple(self.scopes))


class Auth(Stanza):
    """One way; `bearer: false` would be none."""

    needs_key: ClassVar[frozenset[str]] = frozenset({"azure", "bearer"})

    azure: Azure | None = None
    """The header `api-key`, and Azure's deployment paths. Needs `api_key`."""
    aws: Aws | None = None
    """AWS Signature Version 4. Takes no `api_key`."""
    google: Google | None = None
    """A Google access token. Takes no `api_key`."""
    bearer: Flag | None = None
    """`true`: the header `authorization: Bearer`, whatever the dialect uses. Needs
    `api_key`."""

    @model_validator(mode="after")
    def _is_one_way(self) -> "Auth":
        if sum(found is not None for _, found in self) != 1:
            raise invalid_hidden("must name exactly one of azure, aws, google, bearer")
        if self.bearer is False:
            raise invalid_hidden("bearer must be true; leave auth out for the dialect's own way")
        return self

    def conflicts(self, dialect: str, base_url: str) -> Iterator[tuple[tuple[str, ...], str]]:
        """What cannot work, each with its path in the provider's stanza."""
        if self.azure and dialect != "openai":
            yield ("auth", "azure"), "goes with the dialect openai only"
        elif self.azure and not base_url.endswith("/openai"):
            yield ("base_url",), "must end in /openai with auth.azure"
        if self.aws:
            match = _AWS_HOST.fullmatch(urlsplit(base_url).hostname or "")
            if match and match[1] != self.aws.region:
                yield ("auth", "aws", "region"), "is not the region in base_url"

    @property
    def scheme(self) -> str:
        return next(name for name, found in self if found is not None)

    def auth(self) -> snapshot.Auth:
        chosen = self.azure or self.aws or self.google
        return chosen.auth() if chosen else snapshot.BearerAuth()

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = super().__get_pydantic_json_schema__(core, handler)
        handler.resolve_ref_schema(schema).update(minProperties=1, maxProperties=1)
        return schema
