"""What all kinds share: the base model, names, quantities, references, requirements, conditions."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    Strict,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

from leasegrid.api.enums import ConditionStatus, ResourceKind
from leasegrid.api.names import text_like
from leasegrid.api.quantities import QUANTITY_PATTERN, format_bytes, format_millicores, parse_bytes, parse_millicores

API_VERSION = "leasegrid.dev/v1alpha1"
"""The version of every kind here."""

DEFAULT_TTL_SECONDS = 120
DEFAULT_MAX_LIFETIME_SECONDS = 86400

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_QUALIFIED = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")

_PUBLIC_KEY = re.compile(r"[A-Za-z0-9_-]{43}")


def _checked_name(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError(
            f"{text!r} is no RFC 1123 label: at most 63 of a-z, 0-9 and '-', with a letter or digit at both ends"
        )
    return text


def _checked_key(text: str) -> str:
    if not _QUALIFIED.fullmatch(text):
        raise ValueError(f"{text!r} is no key of a label or annotation: write name or prefix.example/name")
    return text


def _checked_label_value(text: str) -> str:
    if not _LABEL_VALUE.fullmatch(text):
        raise ValueError(f"{text!r} is no label value: at most 63 of letters, digits, '-', '_' and '.'")
    return text


def _checked_key_text(text: str) -> str:
    if not _PUBLIC_KEY.fullmatch(text):
        raise ValueError("is no Ed25519 public key: write its 32 raw bytes in base64url, 43 characters without padding")
    return text


Name = Annotated[str, AfterValidator(_checked_name), text_like(_LABEL.pattern, 63)]
Key = Annotated[str, AfterValidator(_checked_key)]
LabelValue = Annotated[str, AfterValidator(_checked_label_value), text_like(_LABEL_VALUE.pattern, 63)]
PublicKey = Annotated[str, AfterValidator(_checked_key_text), text_like(_PUBLIC_KEY.pattern, 43)]
Text = Annotated[str, Field(min_length=1, max_length=4096)]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict(), Field(ge=0, le=2**53)]
Count = Annotated[int, Strict(), Field(ge=1, le=100_000)]
Seconds = Annotated[int, Strict(), Field(ge=1, le=10 * 365 * 86400)]
SecondsOrZero = Annotated[int, Strict(), Field(ge=0, le=10 * 365 * 86400)]
Milliseconds = Annotated[int, Strict(), Field(ge=1, le=3_600_000)]
Priority = Annotated[int, Strict(), Field(ge=-1_000_000_000, le=1_000_000_000)]
Instant = Annotated[str, Field(max_length=64)]
_QUANTITY_SCHEMA = WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": f"^{QUANTITY_PATTERN}$"})
Bytes = Annotated[int, BeforeValidator(parse_bytes), PlainSerializer(format_bytes), _QUANTITY_SCHEMA]
Millicores = Annotated[int, BeforeValidator(parse_millicores), PlainSerializer(format_millicores), _QUANTITY_SCHEMA]


@dataclass(frozen=True)
class _ByteBounds:
    """A check of a size, for pydantic and, as a rule in CEL, for the API server."""

    least: int
    most: int

    @property
    def words(self) -> str:
        return f"must be at least {format_bytes(self.least)} and at most {format_bytes(self.most)}"

    def check(self, value: int) -> int:
        if not self.least <= value <= self.most:
            raise ValueError(f"{self.words}, is {format_bytes(value)}")
        return value

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        written = handler(schema)
        size = "quantity(string(self))"
        low = f"{size}.compareTo(quantity('{format_bytes(self.least)}')) >= 0"
        high = f"{size}.compareTo(quantity('{format_bytes(self.most)}')) <= 0"
        message = f"{self.words}: write a quantity within these bounds"
        written["x-kubernetes-validations"] = [{"rule": f"{low} && {high}", "message": message}]
        return written


def bounded_bytes(least: int, most: int) -> _ByteBounds:
    """A check that a size is within bounds, which says them as quantities."""
    return _ByteBounds(least, most)


class Model(BaseModel):
    """The base of all models: camelCase names, unknown fields refused, unchangeable."""

    # Built at first use: a file seldom has all kinds, and what is built for one serves all below it.
    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, populate_by_name=True, frozen=True, defer_build=True
    )


class ObjectMeta(Model):
    """The part of Kubernetes' metadata that people write."""

    name: Name = Field(description="Name of the object, unique in its namespace and kind.")
    namespace: Name = Field(default="default", description="Namespace of the object.")
    labels: dict[Key, LabelValue] = Field(default_factory=dict, description="Labels, for selection.")
    annotations: dict[Key, str] = Field(default_factory=dict, description="Annotations, not for selection.")


class Reference(Model):
    """Another object of the same namespace."""

    name: Name = Field(description="Name of the object in the same namespace.")


PoolReferences = Annotated[tuple[Reference, ...], Field(max_length=16)]


class ConfigMapKey(Model):
    """One key of a ConfigMap of the same namespace."""

    name: Name = Field(description="Name of the ConfigMap in the same namespace.")
    key: Text = Field(description="Key whose value is the content.")


class MemberRequirements(Model):
    """What a chunk, or a whole job, needs of one member."""

    cpu: Millicores | None = Field(default=None, description="Cores; rounded up to whole slots of one member.")
    memory: Bytes | None = Field(default=None, description="Memory of the member.")
    cpu_features: tuple[Text, ...] = Field(
        default=(), max_length=64, description="CPU features by their names in /proc/cpuinfo."
    )


class LeaseRequirements(MemberRequirements):
    """What is asked of any pool, where pools are not named."""

    resource: ResourceKind = Field(default=ResourceKind.CPU, description="Kind of member: CPU, Memory or Block.")
    size: Bytes | None = Field(default=None, description="Size of the storage of a Memory or Block member.")


class Condition(Model):
    """One condition of an object, keyed by its type."""

    type: str = Field(description="Type of the condition, in CamelCase.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: str = Field(description="Why, as one word in CamelCase.")
    message: str = Field(default="", description="Why, as a sentence for people; at most 1024 characters.")
    last_transition_time: Instant = Field(description="When the status last changed.")
    observed_generation: Whole | None = Field(default=None, description="Generation of the spec that was judged.")


Conditions = Annotated[tuple[Condition, ...], Field(max_length=32)]
