"""A bucket on SeaweedFS, for the proofs of publishing: made, emptied, and read by botocore."""

import concurrent.futures
import contextlib
import pathlib

import botocore.config
import botocore.exceptions
import botocore.session
from shared.common import seaweed, until
from shared.s3 import ACCESS_KEY, BUCKET, REGION, SECRET_KEY, Stored, credentials

# Everybody may read, as from a bucket behind a CDN.
IDENTITIES = [
    {"name": "owner", "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}], "actions": ["Admin"]},
    {"name": "anonymous", "actions": [f"Read:{BUCKET}"]},
]
READERS = 8


class Bucket:
    """The bucket of a running SeaweedFS: `address` is its S3 interface."""

    def __init__(self, address: str):
        self.address = address
        # More connections than readers, so that none waits.
        config = botocore.config.Config(s3={"addressing_style": "path"}, max_pool_connections=2 * READERS)
        keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
        session = botocore.session.Session()
        self.client = session.create_client("s3", region_name=REGION, endpoint_url=address, config=config, **keys)
        until("SeaweedFS makes a bucket", self._is_made, 60)

    def _is_made(self) -> bool:
        """Its parts need a moment to find each other."""
        try:
            self.client.create_bucket(Bucket=BUCKET)
            self.client.put_object(Bucket=BUCKET, Key="probe", Body=b"x")
            self.client.delete_object(Bucket=BUCKET, Key="probe")
        except botocore.exceptions.ClientError:
            return False
        return True

    def environment(self) -> dict[str, str]:
        return credentials(self.address, ACCESS_KEY, SECRET_KEY)

    def keys(self, below: str) -> list[str]:
        """Of the objects whose key begins so."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=below)
        return [listed["Key"] for page in pages for listed in page.get("Contents", [])]

    def objects(self, below: str, *parts: str) -> dict[str, Stored]:
        """Those below a prefix, without it; only those of these parts of it, if some are named."""
        keys = [key for part in parts or [""] for key in self.keys(below + part)]
        with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            return {key.removeprefix(below): held for key, held in zip(keys, pool.map(self._read, keys))}

    def _read(self, key: str) -> Stored:
        found = self.client.get_object(Bucket=BUCKET, Key=key)
        kept = found["ResponseMetadata"]["HTTPHeaders"]
        names = [name for name in kept if name in ("content-type", "cache-control", "content-disposition") or "x-amz-meta-" in name]
        return Stored(found["Body"].read(), {name: kept[name] for name in sorted(names)}, found["ETag"], 0)


@contextlib.contextmanager
def bucket(where: pathlib.Path):
    """A running SeaweedFS with an empty bucket."""
    with seaweed(where, IDENTITIES) as address:
        yield Bucket(address)
