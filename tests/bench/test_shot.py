import json

import pytest

from bench.load.peers import FORMS, PEERS, sent_as
from bench.load.shot import find_top1


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ('{"predictions":[{"classes":[{"label":"3","index":3},{"label":"5"}]}]}', '[{"label":"3"'),
        ('{"predictions": [{"label": "3", "probability": 0.9}, {"label": "5"}]}', '[{"label": "3"'),
        ('{"outputs":[{"name":"labels","shape":[1,5],"data":["3","5"]}]}', '["3"'),
    ],
    ids=["ours", "spaced", "tensor"],
)
def test_the_first_label_is_found_as_each_server_writes_it(answer: str, text: str) -> None:
    assert find_top1(answer, "3") == text
    assert text in answer
    assert find_top1(answer, "5") is None


def test_a_label_with_quotes_is_compared_as_text() -> None:
    label = 'jack-o\'-lantern, "pumpkin"'
    assert find_top1(json.dumps([{"label": label}]), label) is not None


def test_an_answer_without_labels_has_no_top1() -> None:
    assert find_top1('{"detail": "Internal Server Error"}', "3") is None


@pytest.mark.parametrize(
    ("form", "kind", "carried"),
    [
        ("raw", "image/png", b"\x89PNG"),
        ("multipart", "multipart/form-data", b"\r\n\r\n\x89PNG\r\n--"),
        ("base64", "application/json", b'{"image_data": "iVBORw=="}'),
        ("v2", "application/json", b'"data": ["iVBORw=="]'),
    ],
)
def test_every_form_carries_the_image(form: str, kind: str, carried: bytes) -> None:
    body, content_type = sent_as(form, b"\x89PNG", "image/png")
    assert content_type.partition(";")[0] == kind
    assert carried in body
    assert form in FORMS


def test_every_peer_pins_its_packages_and_shares_our_onnxruntime() -> None:
    import onnxruntime

    for name, peer in PEERS.items():
        assert peer.form in FORMS, name
        assert all("==" in requirement for requirement in peer.requirements), name
        assert f"onnxruntime=={onnxruntime.__version__}" in peer.requirements
