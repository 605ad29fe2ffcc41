"""Object stores that users could pick instead, each set up as a small grid of real processes: three copies, or 4+2 erasure coded.

What is not set here is as each of them comes. Two can encrypt in their gateway (SeaweedFS in its filer, Swift in its proxy), with keys that
stay on the server. Only Swift syncs what it acknowledges.
"""

import base64
import datetime
import hashlib
import hmac
import http.client
import os
import shutil
import socket
import sys
import urllib.parse

from running import called, cluster, free_ports, page

SEAWEEDFS_VERSION, SWIFT_VERSION, GARAGE_VERSION = "4.48", "2.38.3", "2.5.0"
COPIES = 3
# Swift's erasure code: data and parity fragments, one for each device.
DATA, PARITY = 4, 2
SWIFT_NODES = 3
# Longest that an installation may take: Garage is compiled.
INSTALL_SECONDS = 3600
HOST = "127.0.0.1"


class Store:
    """Where one of them takes requests, and how a file is put there and got again by its name."""

    def __init__(self, port, sign=None, prefix=""):
        self.port = port
        self.prefix = prefix
        self.sign = sign or (lambda method, path: {})

    def connection(self):
        return http.client.HTTPConnection(HOST, self.port, timeout=300)

    def request(self, asked, method, path, body=None):
        asked.request(method, path, body=body, headers=self.sign(method, path))
        answer = asked.getresponse()
        if answer.status >= 300:
            sys.exit(f"{method} {path} was answered {answer.status}: {answer.read()[:300].decode(errors='replace')}")
        return answer

    def put(self, asked, name, content):
        """The path by which to get it."""
        path = f"{self.prefix}/{name}"
        self.request(asked, "PUT", path, content).read()
        return path

    def get(self, asked, path, buffer):
        """Fills the buffer, which has the size of the file."""
        answer = self.request(asked, "GET", path)
        view, at = memoryview(buffer), 0
        while at < len(buffer):
            got = answer.readinto(view[at:])
            if got == 0:
                sys.exit(f"GET {path} ended after {at} of {len(buffer)} bytes")
            at += got
        if answer.read():
            sys.exit(f"GET {path} gave more than was put")


class Gateway(Store):
    """Truckee's, which names files itself: it answers with the cap."""

    def __init__(self, url):
        super().__init__(urllib.parse.urlsplit(url).port)

    def put(self, asked, name, content):
        return f"/uri/{self.request(asked, 'PUT', '/uri', content).read().decode().strip()}"


def start_truckee(run):
    """3-of-10, encrypted at the gateway, every share synced."""
    return Gateway(cluster(run, "truckee")[0]["gateway"])


def start_seaweedfs(run, *of_the_filer):
    weed = run.options.venv / "bin/weed"
    ports = free_ports(2 * (COPIES + 2))
    places = [["-ip", HOST, "-port", str(a), "-port.grpc", str(b)] for a, b in zip(ports[::2], ports[1::2])]
    master, filer, volumes = places[0], places[1], places[2:]
    where = f"{HOST}:{master[3]}.{master[5]}"
    (run.directory / "master").mkdir()
    run.start("master", [weed, "master", *master, f"-mdir={run.directory / 'master'}", f"-defaultReplication=00{COPIES - 1}"])
    run.until("the master's start", lambda: page(f"http://{HOST}:{master[3]}/cluster/status"))
    for index, place in enumerate(volumes):
        directory = run.directory / f"volume-{index}"
        directory.mkdir()
        run.start(directory.name, [weed, "volume", *place, f"-dir={directory}", "-max=100", f"-master={where}"])

    def joined():
        return page(f"http://{HOST}:{master[3]}/dir/status").count('"PublicUrl"') == COPIES

    run.until("every volume server's joining", joined)
    (run.directory / "filer").mkdir()
    run.start("filer", [weed, "filer", *filer, f"-master={where}", f"-defaultStoreDir={run.directory / 'filer'}", *of_the_filer])
    run.until("the filer's start", lambda: page(f"http://{HOST}:{filer[3]}/"))
    return Store(int(filer[3]), prefix="/files")


def start_garage(run):
    garage = run.options.garage
    ports = free_ports(COPIES * 2)
    secret = os.urandom(32).hex()
    nodes = []
    for index, (rpc, s3) in enumerate(zip(ports[::2], ports[1::2])):
        directory = run.directory / f"garage-{index}"
        directory.mkdir()
        config = directory / "garage.toml"
        config.write_text(
            f'metadata_dir = "{directory}/meta"\ndata_dir = "{directory}/data"\ndb_engine = "lmdb"\nreplication_factor = {COPIES}\n'
            f'rpc_bind_addr = "{HOST}:{rpc}"\nrpc_public_addr = "{HOST}:{rpc}"\nrpc_secret = "{secret}"\n'
            f'[s3_api]\ns3_region = "garage"\napi_bind_addr = "{HOST}:{s3}"\n'
        )
        run.start(directory.name, [garage, "-c", config, "server"])
        nodes.append([garage, "-c", config])
    first = nodes[0]

    def ask(*words, of=first):
        return called([*of, *words], 60)

    run.until("the start of Garage", lambda: all(listens(port) for port in ports))
    names = [ask("node", "id", "-q", of=node).strip() for node in nodes]
    for name in names[1:]:
        ask("node", "connect", name)
    for name in names:
        ask("layout", "assign", "-z", "here", "-c", "100G", name.split("@")[0])
    ask("layout", "apply", "--version", "1")
    key = dict(line.split(":", 1) for line in ask("key", "create", "measured").splitlines() if ":" in line)
    key, key_secret = key["Key ID"].strip(), key["Secret key"].strip()
    ask("bucket", "create", "measured")
    ask("bucket", "allow", "--read", "--write", "measured", "--key", key)
    port = ports[1]
    return Store(port, sign=lambda method, path: signed(key, key_secret, f"{HOST}:{port}", method, path), prefix="/measured")


def listens(port):
    with socket.create_connection((HOST, port), timeout=1):
        return True


def signed(key, secret, host, method, path):
    """Headers of a request to an S3 API whose body is not part of what is signed (AWS Signature Version 4)."""
    now = datetime.datetime.now(datetime.timezone.utc)
    day, moment = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
    names, scope, payload = "host;x-amz-content-sha256;x-amz-date", f"{day}/garage/s3/aws4_request", "UNSIGNED-PAYLOAD"
    asked = f"{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{payload}\nx-amz-date:{moment}\n\n{names}\n{payload}"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(asked.encode()).hexdigest()}"
    by = f"AWS4{secret}".encode()
    for part in (day, "garage", "s3", "aws4_request"):
        by = hmac.digest(by, part.encode(), "sha256")
    signature = hmac.new(by, text.encode(), "sha256").hexdigest()
    return {
        "x-amz-date": moment,
        "x-amz-content-sha256": payload,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}",
    }


def start_swift(run, encrypted=False):
    """A proxy, and three nodes with an account, a container and an object server each; two devices on each node."""
    place = run.directory / "swift"
    place.mkdir()
    tools = run.options.venv / "bin"
    cache, proxy, *ports = free_ports(2 + 3 * SWIFT_NODES)
    kinds = dict(zip(("account", "container", "object"), zip(*[iter(ports)] * SWIFT_NODES)))
    run.start("memcached", [shutil.which("memcached"), "-u", "nobody", "-l", HOST, "-p", str(cache)])
    policy = (
        f"[storage-policy:0]\nname = coded\ndefault = yes\npolicy_type = erasure_coding\nec_type = isa_l_rs_vand\n"
        f"ec_num_data_fragments = {DATA}\nec_num_parity_fragments = {PARITY}\n"
    )
    (place / "swift.conf").write_text(f"[swift-hash]\nswift_hash_path_suffix = {os.urandom(8).hex()}\n{policy}")
    for kind, listeners in kinds.items():
        ring = place / f"{kind}.builder"
        builder = [tools / "swift-ring-builder", ring]
        called([*builder, "create", "8", str(DATA + PARITY if kind == "object" else COPIES), "0"], 60)
        for node, port in enumerate(listeners):
            for device in range((DATA + PARITY) // SWIFT_NODES):
                (place / f"devices-{node}/d{device}").mkdir(parents=True, exist_ok=True)
                called([*builder, "add", f"r1z{node + 1}-{HOST}:{port}/d{device}", "1"], 60)
        called([*builder, "rebalance"], 60)
        for node, port in enumerate(listeners):
            config = place / f"{kind}-{node}.conf"
            config.write_text(
                f"[DEFAULT]\n{common(place, port)}devices = {place}/devices-{node}\nmount_check = false\n"
                f"[pipeline:main]\npipeline = {kind}-server\n[app:{kind}-server]\nuse = egg:swift#{kind}\n"
            )
            run.start(config.stem, [tools / f"swift-{kind}-server", config])
    secret = base64.b64encode(os.urandom(32)).decode()
    (place / "proxy.conf").write_text(
        f"[DEFAULT]\n{common(place, proxy)}[pipeline:main]\n"
        f"pipeline = catch_errors gatekeeper healthcheck cache {'keymaster encryption ' if encrypted else ''}proxy-server\n"
        "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
        f"[filter:cache]\nuse = egg:swift#memcache\nmemcache_servers = {HOST}:{cache}\n"
        f"[filter:keymaster]\nuse = egg:swift#keymaster\nencryption_root_secret = {secret}\n"
        + "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in ("catch_errors", "gatekeeper", "healthcheck", "encryption"))
    )
    run.start("proxy", [tools / "swift-proxy-server", place / "proxy.conf"])
    run.until("the proxy's start", lambda: page(f"http://{HOST}:{proxy}/healthcheck"))
    store = Store(proxy, prefix="/v1/AUTH_measured/files")
    store.request(store.connection(), "PUT", store.prefix).read()
    return store


def common(place, port):
    return f"bind_ip = {HOST}\nbind_port = {port}\nuser = {os.environ.get('USER', 'root')}\nswift_dir = {place}\nlog_level = WARNING\n"


STORES = {
    "truckee": ("3-of-10, encrypted by the gateway, synced", start_truckee),
    "seaweedfs": (f"{COPIES} copies, plain", start_seaweedfs),
    "seaweedfs-encrypted": (f"{COPIES} copies, keys of the server", lambda run: start_seaweedfs(run, "-encryptVolumeData")),
    "garage": (f"{COPIES} copies, plain", start_garage),
    "swift": (f"{DATA}+{PARITY}, plain, synced", start_swift),
    "swift-encrypted": (f"{DATA}+{PARITY}, keys of the server, synced", lambda run: start_swift(run, encrypted=True)),
}
