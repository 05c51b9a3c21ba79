"""The files of deploy/kubernetes: valid for Kubernetes, consistent with each other, and without privileges.

`kubernetes_schemas.json` has the schemas of Kubernetes 1.35. KEDA's and the Prometheus operator's kinds are not in it;
their references are checked here.
"""

import json
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from executor.commands.config import parse_dataclass
from executor.pool.lifecycle import PoolCounters, PoolStats
from executor.service.metrics import ServiceMetrics
from executor.service.settings import TOKEN_VARIABLE, ServiceConfig

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
CUSTOM_KINDS = ("ScaledObject", "ServiceMonitor")
DEFINITIONS = {
    "ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "Deployment": "io.k8s.api.apps.v1.Deployment",
    "Job": "io.k8s.api.batch.v1.Job",
    "NetworkPolicy": "io.k8s.api.networking.v1.NetworkPolicy",
    "PersistentVolumeClaim": "io.k8s.api.core.v1.PersistentVolumeClaim",
    "PodDisruptionBudget": "io.k8s.api.policy.v1.PodDisruptionBudget",
    "RuntimeClass": "io.k8s.api.node.v1.RuntimeClass",
    "Service": "io.k8s.api.core.v1.Service",
}


@cache
def read_objects() -> list[dict]:
    files = sorted(FOLDER.glob("*.yaml"))
    return [found for path in files for found in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def find(kind: str, name: str) -> dict:
    [found] = [one for one in read_objects() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pod_templates() -> dict[str, dict]:
    return {
        one["metadata"]["name"]: one["spec"]["template"] for one in read_objects() if "template" in one.get("spec", {})
    }


def validate(obj: dict) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schemas = json.loads(Path(__file__).with_name("kubernetes_schemas.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator({**schemas, "$ref": f"#/$defs/{DEFINITIONS[obj['kind']]}"}).validate(obj)


def test_objects_match_their_schemas():
    objects = [one for one in read_objects() if one["kind"] not in CUSTOM_KINDS]
    assert len(objects) == 11
    for one in objects:
        validate(one)


def test_schemas_reject_a_misspelt_key_and_a_wrong_type():
    jsonschema = pytest.importorskip("jsonschema")
    deployment = json.loads(json.dumps(find("Deployment", "executor")))
    deployment["spec"]["template"]["spec"]["automountServiceAccountTokens"] = False
    with pytest.raises(jsonschema.ValidationError, match="automountServiceAccountTokens"):
        validate(deployment)
    budget = json.loads(json.dumps(find("PodDisruptionBudget", "executor")))
    budget["spec"]["selector"] = "executor"
    with pytest.raises(jsonschema.ValidationError, match="'executor' is not of type"):
        validate(budget)


def test_pods_have_no_privileges_and_no_cluster_token():
    assert pod_templates().keys() == {"executor", "executor-balancer", "ppo"}
    for template in pod_templates().values():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"]
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "privileged" not in context
        assert not any("hostPath" in volume for volume in spec.get("volumes", []))


def test_selectors_match_the_labels_of_pods():
    labels = [template["metadata"]["labels"] for template in pod_templates().values()]

    def matches(selector: dict) -> bool:
        return any(selector.items() <= one.items() for one in labels)

    for one in read_objects():
        spec = one.get("spec", {})
        if one["kind"] == "Service":
            assert matches(spec["selector"]), one["metadata"]["name"]
        elif one["kind"] in ("Deployment", "PodDisruptionBudget"):
            assert matches(spec["selector"]["matchLabels"]), one["metadata"]["name"]
    text = (FOLDER / "executor.yaml").read_text(encoding="utf-8")
    for words in re.findall(r"podSelector:\s+matchLabels: (\{.*\})", text):
        assert matches(yaml.safe_load(words)), words


def test_executors_have_no_egress():
    policy = find("NetworkPolicy", "executor")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []
    assert policy["podSelector"]["matchLabels"] == find("Deployment", "executor")["spec"]["selector"]["matchLabels"]


def test_config_fits_the_pod():
    deployment = find("Deployment", "executor")["spec"]["template"]["spec"]
    [container] = deployment["containers"]
    settings = yaml.safe_load(find("ConfigMap", "executor")["data"]["executor.yaml"])
    config = parse_dataclass(ServiceConfig, settings, source="executor.yaml")
    assert config.backend == "bubblewrap"
    assert config.num_workers == int(container["resources"]["limits"]["cpu"])
    assert container["resources"]["limits"]["memory"] == "2Gi"
    assert config.num_workers * config.limits.memory_bytes <= 1 << 30
    assert container["ports"][0]["containerPort"] == config.port
    assert deployment["terminationGracePeriodSeconds"] > config.drain_s
    assert [one["name"] for one in container["env"]] == [TOKEN_VARIABLE]


def test_balancer_finds_the_replicas():
    [container] = pod_templates()["executor-balancer"]["spec"]["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    service, namespace, *_ = environment["ATOMFORGE_REPLICAS"].split(".")
    assert find("Service", service)["metadata"]["namespace"] == namespace
    assert find("Service", service)["spec"]["clusterIP"] == "None"  # a name for all replicas
    cfg = (ROOT / "executor/deploy/haproxy.cfg").read_text(encoding="utf-8")
    assert "${ATOMFORGE_REPLICAS-" in cfg
    [places] = re.findall(r"server-template replica (\d+) ", cfg)
    assert find("ScaledObject", "executor")["spec"]["maxReplicaCount"] <= int(places)


def test_autoscaler_uses_a_metric_of_the_service():
    scaled = find("ScaledObject", "executor")["spec"]
    assert scaled["scaleTargetRef"]["name"] == find("Deployment", "executor")["metadata"]["name"]
    assert "replicas" not in find("Deployment", "executor")["spec"]
    [trigger] = scaled["triggers"]
    [metric] = re.findall(r"(\w+)\{", trigger["metadata"]["query"])
    counters = dict.fromkeys(PoolCounters.__dataclass_fields__, 0)
    stats = PoolStats(num_slots=1, num_busy=0, num_waiting=3, statuses={}, **counters)
    metrics = ServiceMetrics(SimpleNamespace(stats=lambda: stats))
    assert metrics.registry.get_sample_value(metric) == 3.0
    monitor = find("ServiceMonitor", "executor")["spec"]
    assert find("Service", "executor-replicas")["metadata"]["labels"] == monitor["selector"]["matchLabels"]


def test_training_job_resumes_in_its_run_directory():
    job = find("Job", "ppo")["spec"]
    template = job["template"]["spec"]
    [container] = template["containers"]
    options = dict(word.lstrip("-").split("=", 1) for word in container["args"][1:])
    assert container["args"][0] == "fit"
    assert options["ckpt_path"] == "last"
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert options["run_dir"].startswith(f"{mounts['runs']}/")
    [volume] = [one for one in template["volumes"] if one["name"] == "runs"]
    assert find("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    assert (template["restartPolicy"], job["podReplacementPolicy"]) == ("Never", "Failed")
    assert {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]} in job["podFailurePolicy"]["rules"]
    host, namespace = re.findall(r"http://(\w+)\.(\w+):8600", options["model.init_args.executor_backend"])[0]
    assert find("Service", host)["metadata"]["namespace"] == namespace
    assert job["template"]["metadata"]["labels"]["executor-client"] == "true"  # or the balancer's policy drops it


def test_images_are_stages_of_the_dockerfile():
    dockerfile = (ROOT / "deploy/service.Dockerfile").read_text(encoding="utf-8")
    stages = {"executor": "replica", "balancer": "balancer", "trainer": "trainer"}
    for template in pod_templates().values():
        [image] = [container["image"] for container in template["spec"]["containers"]]
        [name] = re.findall(r"atomforge-(?:fleet-)?(\w+):0\.2\.0$", image)
        assert f" AS {stages[name]}\n" in dockerfile
    copied = [word for line in dockerfile.splitlines() if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert "pyproject.toml" in copied
    assert all((ROOT / source).exists() for source in copied)
