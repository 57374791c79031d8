"""A real node says which time zones it computes with: in its log, and to the cluster through ZooKeeper."""

import secrets
from collections.abc import Callable
from pathlib import Path

import grpc

from mainspring.server.core.time_zone import DATABASE_RELEASE
from mainspring.testing.child_process import ChildProcess
from mainspring.testing.member_process import import_environment, mainspring_command
from mainspring.testing.ports import free_port
from mainspring.testing.zookeeper import ZooKeeperServer
from mainspring.v1 import admin_service_pb2, admin_service_pb2_grpc


def test_in_the_log_and_in_the_list_of_nodes(
    fresh_database: Callable[..., str], zookeeper: ZooKeeperServer, zookeeper_chroot: str, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{free_port()}"

    def command(*arguments: str) -> ChildProcess:
        name = f"{arguments[0]}-{secrets.token_hex(3)}"
        child = ChildProcess(
            name,
            mainspring_command(*arguments),
            log_path=tmp_path / f"{name}.log",
            environment={
                **import_environment(),
                "MAINSPRING_MYSQL_URL": url,
                "MAINSPRING_ZOOKEEPER": f"{zookeeper.hosts}{zookeeper_chroot}",
                "MAINSPRING_LISTEN": address,
            },
        )
        child.start()
        return child

    url = fresh_database()
    assert command("migrate", "--partitions", "2").wait(timeout_s=30) == 0
    node = command("server")
    told: list[str] = []

    def is_member() -> bool:
        with grpc.insecure_channel(address) as channel:
            stub = admin_service_pb2_grpc.AdminServiceStub(channel)
            answer = stub.ListNodes(admin_service_pb2.ListNodesRequest(), wait_for_ready=True, timeout=10)
        told[:] = [member.time_zone_database for member in answer.nodes]
        return bool(told)

    try:
        node.wait_until(is_member, timeout_s=20, what="its membership")
        assert told == [DATABASE_RELEASE]
        (line,) = [line for line in node.log_text().splitlines() if "node_started" in line]
        assert DATABASE_RELEASE in line
    finally:
        node.kill()
