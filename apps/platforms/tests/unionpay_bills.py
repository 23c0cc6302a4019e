"""UnionPay's bill as the protocol's sample has it, for tests."""

from __future__ import annotations

from datetime import date

MERCHANT_NO = "777290058167151"
DAY = date(2022, 9, 11)
#: The protocol's invented sample, its columns by their place in the record: two payments, a refund of the first.
SAMPLE = [
    {
        0: "S22",
        4: "00012900",
        16: "00012900",
        28: "561652",
        35: "0911101647",
        46: "621626*********0018",
        66: "000000010000",
        79: "5812",
        84: "08",
        87: "512209110416475616528",
        109: "00",
        112: "P20220911101647A0001",
        145: "01",
        166: "D000000000038",
        180: "C000000009962",
        194: "0001",
        215: "01",
        218: "07",
        221: "000000",
        228: "01",
        269: "0",
        293: MERCHANT_NO,
        374: "C000000009962",
        474: "1",
    },
    {
        0: "S22",
        4: "00012900",
        16: "00012900",
        28: "561653",
        35: "0911113002",
        46: "621626*********0026",
        66: "000000002550",
        79: "5812",
        84: "08",
        87: "512209111130025616530",
        109: "00",
        112: "P20220911113002A0002",
        145: "01",
        166: "D000000000010",
        180: "C000000002540",
        194: "0001",
        215: "01",
        218: "06",
        221: "000000",
        228: "01",
        269: "0",
        293: MERCHANT_NO,
        374: "C000000002540",
        474: "1",
    },
    {
        0: "S30",
        4: "00012900",
        16: "00012900",
        28: "561690",
        35: "0911150510",
        46: "621626*********0018",
        66: "000000003000",
        79: "5812",
        84: "08",
        87: "512209111505105616690",
        109: "00",
        112: "R20220911150510A0001",
        145: "01",
        148: "561652",
        155: "0911101647",
        166: "C000000000011",
        180: "D000000002989",
        194: "0001",
        215: "04",
        218: "00",
        221: "000000",
        228: "01",
        269: "0",
        271: "512209110416475616528",
        293: MERCHANT_NO,
        374: "D000000002989",
        474: "1",
    },
]
NAME = f"INN22091188ZM_{MERCHANT_NO}"


def record(cells: dict[int, str], **more: str) -> bytes:
    """One record of 607 bytes; ``more``: cells by ``at<place>``."""
    made = bytearray(b" " * 607)
    for place, value in {**cells, **{int(name[2:]): value for name, value in more.items()}}.items():
        raw = value.encode("gb18030")
        made[place : place + len(raw)] = raw
    assert len(made) == 607
    return bytes(made)


def file(*records: bytes, end: bytes = b"\r\n") -> bytes:
    return b"".join(one + end for one in records or map(record, SAMPLE))
