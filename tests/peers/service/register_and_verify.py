"""Registers a work and verifies its receipt with a client that openapi-python-client made of the service's document.

    register_and_verify.py CLIENT-PACKAGE URL
"""

import importlib
import io
import sys
from pathlib import Path

package, url = Path(sys.argv[1]), sys.argv[2]
sys.path.insert(0, str(package.parent))


def of_client(module, name=None):
    found = importlib.import_module(f"{package.name}.{module}")
    return getattr(found, name) if name else found


File = of_client("types", "File")
client = of_client("client", "Client")(base_url=url)
work = b"a work that a generated client sends"


def file(data, name):
    return File(payload=io.BytesIO(data), file_name=name, mime_type="application/octet-stream")


form = of_client("models", "RegisterForm")(file=file(work, "work.txt"), title="Generated", claimant="Ada Example")
register = of_client("api.works.register")
registered = register.sync(client=client, body=form)
assert registered.status == "registered", registered
again = of_client("models", "RegisterForm")(file=file(work, "work.txt"), title="Generated", claimant="Ada Example")
assert register.sync(client=client, body=again).status == "duplicate"

listed = of_client("api.works.list_works").sync(client=client, limit=1)
assert listed.works[0].work == registered.work, listed
shown = of_client("api.works.work").sync(registered.work, client=client)
assert shown.registrations[0].title == "Generated", shown
found = of_client("api.search.search_words").sync(client=client, q="generated")
assert found.works[0].index == registered.index, found

receipt = of_client("api.receipts.receipt").sync(registered.index, client=client)
VerifyForm = of_client("models", "VerifyForm")
verify = of_client("api.verify.verify")
form = VerifyForm(work=file(work, "work.txt"), receipt=file(receipt.encode(), "work.txt.timemark"))
verdict = verify.sync(client=client, body=form)
assert (verdict.verdict, verdict.index) == ("verified", registered.index), verdict
form = VerifyForm(work=file(b"another", "work.txt"), receipt=file(receipt.encode(), "work.txt.timemark"))
verdict = verify.sync(client=client, body=form)
assert verdict.verdict == "refused", verdict

problem = of_client("api.works.work").sync("bafkrei" + "a" * 52, client=client)
assert problem.status == 404, problem
print(f"registered and verified entry {registered.index}")
