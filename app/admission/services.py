"""What every endpoint needs, in one typed object, which `create_app` makes."""

from __future__ import annotations

from dataclasses import dataclass

from app.admission.admission import Admission
from app.admission.keys import Keys
from app.catalog.catalog import Catalog
from app.catalog.control import Control
from app.inference.decoder import Decoder
from app.observe.access_log import Journal
from app.settings import Settings


@dataclass(frozen=True)
class Services:
    """The parts of one serving process."""

    settings: Settings
    catalog: Catalog
    control: Control
    decoder: Decoder
    journal: Journal
    admission: Admission
    keys: Keys
