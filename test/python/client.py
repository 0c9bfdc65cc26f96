"""A client in another language: what any gRPC client can do with the published protocol alone.

    client.py GENERATED TARGET IDENTITY WHAT

GENERATED holds the code that Debian's grpc tools made from the protocol. IDENTITY is a directory with
ca.pem and, unless the caller has no certificate, cert.pem and key.pem. What happened is printed as
one JSON object; the test that started this judges it.
"""

import json
import os
import sys

import grpc

generated, target, identity, what = sys.argv[1:]
sys.path.insert(0, generated)

from joblet import common_pb2, jobs_pb2, jobs_pb2_grpc, legacy_pb2, legacy_pb2_grpc  # noqa: E402


def pem(name):
    path = os.path.join(identity, name)
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        return file.read()


def connect():
    credentials = grpc.ssl_channel_credentials(pem("ca.pem"), pem("key.pem"), pem("cert.pem"))
    return grpc.secure_channel(target, credentials)


def outcome(call):
    """The status that a call came back with."""
    try:
        call()
        return {"code": "OK", "details": ""}
    except grpc.RpcError as error:
        return {"code": error.code().name, "details": error.details()}


def run_list_follow_stop_delete(channel):
    api = jobs_pb2_grpc.JobServiceStub(channel)
    script = "echo from python; echo $COLOUR; exit 3"
    started = api.RunJob(
        jobs_pb2.RunJobRequest(
            name="python",
            command="/bin/sh",
            args=["-c", script],
            max_cpu=50,
            max_memory=64,
            environment={"COLOUR": "blue"},
            secret_environment={"TOKEN": "hush"},
        )
    )
    log = b"".join(chunk.payload for chunk in api.GetJobLogs(jobs_pb2.GetJobLogsRequest(uuid=started.job_uuid)))
    ended = api.GetJobStatus(jobs_pb2.GetJobStatusRequest(uuid=started.job_uuid))
    # A job that never ends, followed while it runs; one reader sees its first line, then its end.
    idle = api.RunJob(jobs_pb2.RunJobRequest(command="/bin/sh", args=["-c", "echo idle; exec sleep 600"]))
    follow = api.GetJobLogs(jobs_pb2.GetJobLogsRequest(uuid=idle.job_uuid))
    first = next(follow).payload
    listed = [job.uuid for job in api.ListJobs(common_pb2.EmptyRequest()).jobs]
    stopped = api.StopJob(jobs_pb2.StopJobRequest(uuid=idle.job_uuid))
    rest = b"".join(chunk.payload for chunk in follow)
    again = outcome(lambda: api.StopJob(jobs_pb2.StopJobRequest(uuid=idle.job_uuid)))
    deleted = api.DeleteJob(jobs_pb2.DeleteJobRequest(uuid=idle.job_uuid))
    gone = outcome(lambda: api.GetJobStatus(jobs_pb2.GetJobStatusRequest(uuid=idle.job_uuid)))
    invalid = outcome(lambda: api.RunJob(jobs_pb2.RunJobRequest(command="true", max_cpu=-1)))
    return {
        "started": started.status,
        "log": log.decode(),
        "ended": {
            "status": ended.status,
            "exitCode": ended.exit_code,
            "maxCpu": ended.max_cpu,
            "maxMemory": ended.max_memory,
            "environment": dict(ended.environment),
            "secrets": dict(ended.secret_environment),
        },
        "first": first.decode(),
        "rest": rest.decode(),
        "newestFirst": listed[:2] == [idle.job_uuid, started.job_uuid],
        "stopped": {"status": stopped.status, "exitCode": stopped.exit_code},
        "again": again,
        "deleted": deleted.success,
        "gone": gone,
        "invalid": invalid,
        "ids": [started.job_uuid, idle.job_uuid],
    }


def older_api(channel):
    api = legacy_pb2_grpc.JobletServiceStub(channel)
    started = api.RunJob(
        legacy_pb2.RunJobRequestLegacy(command="/bin/sh", args=["-c", "echo older; exec sleep 600"], max_memory=64)
    )
    follow = api.GetJobLogs(legacy_pb2.GetJobLogsRequestLegacy(id=started.id))
    first = next(follow).payload
    running = api.GetJobStatus(legacy_pb2.GetJobStatusRequestLegacy(id=started.id))
    listed = [job.id for job in api.ListJobs(common_pb2.EmptyRequest()).jobs]
    stopped = api.StopJob(legacy_pb2.StopJobRequestLegacy(id=started.id))
    return {
        "status": running.status,
        "maxMemory": running.max_memory,
        "command": running.command,
        "listed": started.id in listed,
        "first": first.decode(),
        "rest": b"".join(chunk.payload for chunk in follow).decode(),
        "stopped": stopped.status,
    }


def standard_services(channel):
    import health_pb2
    import health_pb2_grpc
    import reflection_pb2
    import reflection_pb2_grpc

    health = health_pb2_grpc.HealthStub(channel)
    status = health.Check(health_pb2.HealthCheckRequest(service="joblet.JobService")).status
    whole = health.Check(health_pb2.HealthCheckRequest()).status
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    question = reflection_pb2.ServerReflectionRequest(list_services="*")
    (answer,) = reflection.ServerReflectionInfo(iter([question]))
    return {
        "health": health_pb2.HealthCheckResponse.ServingStatus.Name(status),
        "whole": health_pb2.HealthCheckResponse.ServingStatus.Name(whole),
        "services": sorted(service.name for service in answer.list_services_response.service),
    }


def try_each_role_call(channel):
    """What this identity may do: looking, and running."""
    api = jobs_pb2_grpc.JobServiceStub(channel)
    return {
        "list": outcome(lambda: api.ListJobs(common_pb2.EmptyRequest(), timeout=20)),
        "run": outcome(lambda: api.RunJob(jobs_pb2.RunJobRequest(command="/bin/true"), timeout=20)),
    }


ACTIONS = {
    "jobs": run_list_follow_stop_delete,
    "older": older_api,
    "standard": standard_services,
    "try": try_each_role_call,
}

with connect() as channel:
    print(json.dumps(ACTIONS[what](channel)))
