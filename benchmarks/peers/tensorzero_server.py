"""Run by TensorZero's own Python: the OpenAI-compatible server that its package has in it.

    tensorzero_server.py CONFIG PORT_FILE

The port is its choice; it is written to PORT_FILE.
"""

import sys
import threading
import warnings
from pathlib import Path
from urllib.parse import urlsplit

from tensorzero import patch_openai_client  # type: ignore[import-not-found,unused-ignore]

warnings.simplefilter("ignore")


class Client:
    """All that is asked of a client: it is told where the server is."""

    base_url = ""


client = Client()
patch_openai_client(client, config_file=sys.argv[1], async_setup=False)
told = Path(sys.argv[2])
told.with_suffix(".new").write_text(str(urlsplit(client.base_url).port))
told.with_suffix(".new").rename(told)
threading.Event().wait()
