"""Where pods may stand, as in core/v1: copied into the pods of members as it is written.

Names and meaning: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/
"""

from typing import Annotated

from pydantic import Field

from leasegrid.api.common import Key, LabelValue, Model, Text, Whole

Weight = Annotated[Whole, Field(ge=1, le=100)]
MAX_TERMS = 32


class Toleration(Model):
    """A taint that is tolerated."""

    key: Text | None = Field(default=None, description="Key of the taint; none with operator Exists: every taint.")
    operator: Text | None = Field(default=None, description="Exists or Equal. Default: Equal.")
    value: str | None = Field(default=None, description="Value of the taint, with operator Equal.")
    effect: Text | None = Field(
        default=None, description="NoSchedule, PreferNoSchedule or NoExecute; without it, every effect."
    )
    toleration_seconds: Whole | None = Field(
        default=None, description="So long a NoExecute taint is tolerated; without it, for ever."
    )


class SelectorRequirement(Model):
    """One condition on labels or fields."""

    key: Text = Field(description="Label or field that is looked at.")
    operator: Text = Field(description="In, NotIn, Exists, DoesNotExist; for nodes also Gt and Lt.")
    values: tuple[str, ...] = Field(default=(), max_length=256, description="Values for In, NotIn, Gt and Lt.")


Requirements = Annotated[tuple[SelectorRequirement, ...], Field(max_length=MAX_TERMS)]


class LabelSelector(Model):
    """Which pods or namespaces are meant; all conditions must hold."""

    match_labels: dict[Key, LabelValue] = Field(default_factory=dict, description="Labels with their values.")
    match_expressions: Requirements = Field(default=(), description="Conditions on labels.")


class NodeSelectorTerm(Model):
    """Which nodes are meant; all conditions must hold."""

    match_expressions: Requirements = Field(default=(), description="Conditions on the node's labels.")
    match_fields: Requirements = Field(default=(), description="Conditions on the node's fields.")


class NodeSelector(Model):
    """Nodes that fit one of the terms."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] = Field(
        max_length=MAX_TERMS, description="Terms of which one must fit."
    )


class PreferredNodes(Model):
    """Nodes that are liked."""

    weight: Weight = Field(description="How much, from 1 to 100.")
    preference: NodeSelectorTerm = Field(description="Which nodes.")


class NodeAffinity(Model):
    """Nodes that are needed or liked."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = Field(
        default=None, description="Nodes that are needed."
    )
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredNodes, ...] = Field(
        default=(), max_length=MAX_TERMS, description="Nodes that are liked."
    )


class PodAffinityTerm(Model):
    """Pods beside which, or away from which, a member stands."""

    label_selector: LabelSelector | None = Field(default=None, description="Which pods.")
    topology_key: Text = Field(description="Label of nodes whose equal values mean the same place.")
    namespaces: tuple[Text, ...] = Field(default=(), max_length=MAX_TERMS, description="Namespaces of the pods.")
    namespace_selector: LabelSelector | None = Field(default=None, description="Namespaces of the pods, by labels.")
    match_label_keys: tuple[Text, ...] = Field(
        default=(), max_length=MAX_TERMS, description="Labels in which the pods must equal the member."
    )
    mismatch_label_keys: tuple[Text, ...] = Field(
        default=(), max_length=MAX_TERMS, description="Labels in which the pods must differ from the member."
    )


class PreferredPods(Model):
    """Pods whose place is liked or disliked."""

    weight: Weight = Field(description="How much, from 1 to 100.")
    pod_affinity_term: PodAffinityTerm = Field(description="Which pods.")


class PodAffinity(Model):
    """Pods whose place is needed or liked; as antiAffinity, shunned."""

    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = Field(
        default=(), max_length=MAX_TERMS, description="Rules that must hold."
    )
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredPods, ...] = Field(
        default=(), max_length=MAX_TERMS, description="Rules that should hold."
    )


class Affinity(Model):
    """Where pods of members like to stand."""

    node_affinity: NodeAffinity | None = Field(default=None, description="Nodes that are needed or liked.")
    pod_affinity: PodAffinity | None = Field(default=None, description="Pods beside which a member stands.")
    pod_anti_affinity: PodAffinity | None = Field(default=None, description="Pods away from which a member stands.")


class TopologySpreadConstraint(Model):
    """How evenly members are spread over places."""

    max_skew: Annotated[Whole, Field(ge=1)] = Field(description="Largest difference between two places.")
    topology_key: Text = Field(description="Label of nodes whose equal values mean the same place.")
    when_unsatisfiable: Text = Field(description="DoNotSchedule or ScheduleAnyway.")
    label_selector: LabelSelector | None = Field(default=None, description="Pods that are counted.")
    min_domains: Annotated[Whole, Field(ge=1)] | None = Field(default=None, description="Least number of places.")
    match_label_keys: tuple[Text, ...] = Field(
        default=(), max_length=MAX_TERMS, description="Labels in which counted pods must equal the member."
    )
    node_affinity_policy: Text | None = Field(
        default=None, description="Honor or Ignore the nodes of affinity. Default: Honor."
    )
    node_taints_policy: Text | None = Field(default=None, description="Honor or Ignore taints. Default: Ignore.")
