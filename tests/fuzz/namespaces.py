"""Calls about namespaces."""

from __future__ import annotations

from typing import Final

from fuzz.caller import Code
from fuzz.definitions import NAMESPACES, parts, some_of
from fuzz.flaws import FLAWS, Flaw
from fuzz.messages import DAY, SECOND, length, stamp
from fuzz.model import AT_MOST_ONCE, DEFAULTED, shown
from fuzz.world import World
from fuzz.wrong_calls import WRONG_RETENTIONS
from hypothesis import strategies as st
from hypothesis.stateful import rule

from mainspring.v1 import namespace_service_pb2, task_pb2

NAMES: Final = st.sampled_from((*NAMESPACES[1:], "empty", "ü" * 200))
RETENTIONS: Final = st.sampled_from((None, 30 * DAY, 31 * DAY, 3_650 * DAY, 30 * DAY + SECOND))
"""None of them shorter than an example."""
USUAL: Final = 30 * DAY
ALL: Final = ("retention", "task_defaults", *(f"task_defaults.{name}" for name in DEFAULTED))
"""What an update mask may name."""
DEFAULTS_FLAWS: Final = tuple(flaw for flaw in FLAWS if flaw.field in DEFAULTED)


@st.composite
def defaults(draw: st.DrawFn) -> namespace_service_pb2.TaskDefaults:
    """Some defaults that are right, at times none."""
    made = taken_over(draw(parts(tuple(some_of(draw, DEFAULTED, 0, 3)))))
    if made.retry.max_attempts > 1 and made.delivery == AT_MOST_ONCE:
        made.ClearField("delivery")
    return made


def taken_over(task: task_pb2.Task) -> namespace_service_pb2.TaskDefaults:
    """What a task says, as defaults."""
    made = namespace_service_pb2.TaskDefaults()
    for descriptor, value in task.ListFields():
        if descriptor.message_type:
            getattr(made, descriptor.name).CopyFrom(value)
        else:
            setattr(made, descriptor.name, value)
    return made


class Namespaces(World):
    """CreateNamespace, UpdateNamespace, GetNamespace and ListNamespaces."""

    @rule(name=NAMES, retention=RETENTIONS, given=defaults())
    def create_namespace(
        self, name: str, retention: int | None, given: namespace_service_pb2.TaskDefaults
    ) -> None:
        """A new one, the same call again, or other values."""
        request = namespace_service_pb2.CreateNamespaceRequest()
        request.namespace.name = name
        request.namespace.task_defaults.CopyFrom(given)
        if retention is not None:
            request.namespace.retention.CopyFrom(length(retention))
        wanted = namespace_service_pb2.Namespace(
            name=name, retention=length(USUAL if retention is None else retention), etag="v1"
        )
        _put_defaults(wanted, given)
        wanted.create_time.CopyFrom(stamp(self.now))
        wanted.update_time.CopyFrom(stamp(self.now))
        known = self.spaces.get(name)
        if known is not None and not _says_the_same(known, wanted):
            self.refused("CreateNamespace", request, Code.ALREADY_EXISTS)
        else:
            answer = self.call("CreateNamespace", request)
            self.same(answer.namespace, self.spaces.setdefault(name, wanted), "CreateNamespace")
        self._recheck(name)

    @rule(
        name=NAMES,
        retention=RETENTIONS,
        given=defaults(),
        mask=st.lists(st.sampled_from(ALL), unique=True, max_size=2),
        etag=st.sampled_from(("none", "none", "present", "stale")),
    )
    def update_namespace(
        self,
        name: str,
        retention: int | None,
        given: namespace_service_pb2.TaskDefaults,
        mask: list[str],
        etag: str,
    ) -> None:
        """The fields of a mask, or without one those that are set."""
        request = namespace_service_pb2.UpdateNamespaceRequest()
        request.namespace.name = name
        request.update_mask.paths.extend(mask)
        if given.ListFields():
            request.namespace.task_defaults.CopyFrom(given)
        if retention is not None:
            request.namespace.retention.CopyFrom(length(retention))
        known = self.spaces.get(name)
        if known is None:
            self.refused("UpdateNamespace", request, Code.NOT_FOUND)
            self._recheck(name)
            return
        wanted = _updated(known, request.namespace, mask)
        version = int(known.etag[1:])
        if etag != "none":
            request.etag = f"v{version if etag == 'present' else version - 1}"
        is_repeated = version > 1 and _says_the_same(known, wanted)
        if wanted.task_defaults.retry.max_attempts > 1 and wanted.task_defaults.delivery == AT_MOST_ONCE:
            field = "namespace.task_defaults.retry"
            self.refused("UpdateNamespace", request, Code.INVALID_ARGUMENT, field)
        elif etag == "stale" and not is_repeated:
            self.refused("UpdateNamespace", request, Code.ABORTED)
        else:
            answer = self.call("UpdateNamespace", request)
            if not _says_the_same(known, wanted):
                wanted.etag = f"v{version + 1}"
                wanted.update_time.CopyFrom(stamp(self.now))
            self.spaces[name] = wanted
            self.same(answer.namespace, wanted, "UpdateNamespace")
        self._recheck(name)

    @rule(name=NAMES, flaw=st.sampled_from(DEFAULTS_FLAWS), retention=st.sampled_from(WRONG_RETENTIONS))
    def say_wrong_of_a_namespace(self, name: str, flaw: Flaw, retention: int) -> None:
        """CreateNamespace and UpdateNamespace with wrong defaults, and with a wrong retention."""
        path = f"namespace.task_defaults.{flaw.path}"
        wrong = namespace_service_pb2.Namespace(name=name, task_defaults=taken_over(flaw.wrong))
        late = namespace_service_pb2.Namespace(name=name, retention=length(retention))
        create = namespace_service_pb2.CreateNamespaceRequest(namespace=wrong)
        self.refused("CreateNamespace", create, Code.INVALID_ARGUMENT, path)
        if name in self.spaces:
            for said, field in ((wrong, path), (late, "namespace.retention")):
                update = namespace_service_pb2.UpdateNamespaceRequest(namespace=said)
                self.refused("UpdateNamespace", update, Code.INVALID_ARGUMENT, field)
        self._recheck(name)

    def _recheck(self, name: str) -> None:
        answer = self.look_up("GetNamespace", namespace_service_pb2.GetNamespaceRequest(name=name))
        unmade = namespace_service_pb2.Namespace(name=name, retention=length(USUAL))
        self.same(answer.namespace, self.spaces.get(name, unmade), "GetNamespace")

    @rule(page_size=st.sampled_from((0, 1, 1_000)))
    def list_namespaces(self, page_size: int) -> None:
        """All that were created, by name."""
        request = namespace_service_pb2.ListNamespacesRequest(page_size=page_size)
        listed: list[namespace_service_pb2.Namespace] = []
        while True:
            page = self.call("ListNamespaces", request)
            listed.extend(page.namespaces)
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        wanted = [self.spaces[name] for name in sorted(self.spaces, key=str.encode)]
        self.check(listed == wanted, "ListNamespaces")


def _put_defaults(
    namespace: namespace_service_pb2.Namespace, given: namespace_service_pb2.TaskDefaults
) -> None:
    """As they are answered: no message when they say nothing."""
    namespace.ClearField("task_defaults")
    as_shown = shown(given)
    if as_shown.ListFields():
        namespace.task_defaults.CopyFrom(as_shown)


def _updated(
    known: namespace_service_pb2.Namespace, given: namespace_service_pb2.Namespace, mask: list[str]
) -> namespace_service_pb2.Namespace:
    """A namespace with the fields of a mask as given."""
    paths = mask or [name for name in ("retention", "task_defaults") if given.HasField(name)]
    made = namespace_service_pb2.Namespace()
    made.CopyFrom(known)
    if "retention" in paths:
        made.retention.CopyFrom(given.retention if given.HasField("retention") else length(USUAL))
    own = namespace_service_pb2.TaskDefaults()
    own.CopyFrom(given.task_defaults if "task_defaults" in paths else known.task_defaults)
    for name in DEFAULTED:
        if f"task_defaults.{name}" in paths:
            own.ClearField(name)
            only = namespace_service_pb2.TaskDefaults()
            only.CopyFrom(given.task_defaults)
            for descriptor, _ in given.task_defaults.ListFields():
                if descriptor.name != name:
                    only.ClearField(descriptor.name)
            own.MergeFrom(only)
    _put_defaults(made, own)
    return made


def _says_the_same(one: namespace_service_pb2.Namespace, other: namespace_service_pb2.Namespace) -> bool:
    """Whether retention and defaults are equal."""
    return one.retention == other.retention and one.task_defaults == other.task_defaults
