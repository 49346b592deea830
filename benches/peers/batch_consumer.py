"""Stores orders from Kafka in PostgreSQL, with the same guarantees as the consumer of orderflow.

Each of the methods is common: COPY into a temporary table and one INSERT from there, one INSERT of arrays (UNNEST), or
one order at a time. COPY in binary and the statements of a batch in a pipeline were slower. A batch is decoded,
enriched, inserted and committed to the database before its offsets are stored; stored offsets are committed to Kafka
once a second, as in the consumer of orderflow. So each order is written at least once and, because of its primary key,
stored once. Several processes can share a topic as one group. There is no dead-letter topic: an order that can't be
stored ends the process.
"""

import argparse
import json
import signal
from typing import Any

import psycopg
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

COLUMNS = """order_id, user_id, product_id, quantity, total_amount, shipping_cost, discount_amount,
             payment_method, status, category, user_region, user_gender, user_age_group, created_at"""
TYPES = ["varchar"] * 3 + ["int4"] * 4 + ["varchar"] * 4 + ["bpchar", "varchar", "timestamptz"]
ON_CONFLICT = "ON CONFLICT (order_id) DO NOTHING"
INSERT = f"INSERT INTO orders ({COLUMNS}) VALUES ({', '.join(['%s'] * len(TYPES))}) {ON_CONFLICT}"
ARRAYS = ", ".join(f"%s::{kind}[]" for kind in TYPES)
INSERT_ARRAYS = f"INSERT INTO orders ({COLUMNS}) SELECT * FROM unnest({ARRAYS}) {ON_CONFLICT}"
STAGED = "CREATE TEMPORARY TABLE staged (LIKE orders) ON COMMIT DELETE ROWS"
COPY = f"COPY staged ({COLUMNS}) FROM STDIN"
INSERT_STAGED = f"INSERT INTO orders SELECT * FROM staged {ON_CONFLICT}"
USERS = "SELECT user_id, region, gender, age_group FROM users WHERE user_id = ANY(%s)"
PRODUCTS = "SELECT product_id, category FROM products WHERE product_id = ANY(%s)"


class Enricher:
    """Adds the columns of user and product, from an unbounded cache or by one query per batch for each table."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.users: dict[str, tuple[str, str, str]] = {}
        self.products: dict[str, str] = {}

    def lookup(self, orders: list[tuple[str, dict[str, Any]]]) -> None:
        users = {order["user_id"] for _, order in orders} - self.users.keys()
        if users:
            for user_id, *attributes in self.connection.execute(USERS, [list(users)]):
                self.users[user_id] = tuple(attributes)
        products = {order["product_id"] for _, order in orders} - self.products.keys()
        if products:
            self.products.update(self.connection.execute(PRODUCTS, [list(products)]).fetchall())

    def row(self, order_id: str, order: dict[str, Any]) -> tuple[Any, ...]:
        return (
            order_id,
            order["user_id"],
            order["product_id"],
            order["quantity"],
            order["total_amount"],
            order["shipping_cost"],
            order["discount_amount"],
            order["payment_method"],
            order["status"],
            self.products[order["product_id"]],
            *self.users[order["user_id"]],
            order["created_at"],
        )


def decode(message: Message) -> tuple[str, dict[str, Any]]:
    if message.error():
        raise KafkaException(message.error())
    return message.key().decode(), json.loads(message.value())


def store_each(cursor: psycopg.Cursor, rows: list[tuple[Any, ...]]) -> None:
    for row in rows:
        cursor.execute(INSERT, row)


def store_by_unnest(cursor: psycopg.Cursor, rows: list[tuple[Any, ...]]) -> None:
    cursor.execute(INSERT_ARRAYS, [list(column) for column in zip(*rows)])


def store_by_copy(cursor: psycopg.Cursor, rows: list[tuple[Any, ...]]) -> None:
    with cursor.copy(COPY) as copy:
        for row in rows:
            copy.write_row(row)
    cursor.execute(INSERT_STAGED)


METHODS = {"unnest": store_by_unnest, "copy": store_by_copy, "one-by-one": store_each}


def offsets_after(messages: list[Message]) -> list[TopicPartition]:
    """The next offset of each partition. The messages of a partition are in order."""
    next_offsets = {(message.topic(), message.partition()): message.offset() + 1 for message in messages}
    return [TopicPartition(topic, partition, offset) for (topic, partition), offset in next_offsets.items()]


def next_batch(consumer: Consumer, size: int, wait: float) -> list[Message]:
    """Waits for a full batch for at most `wait` seconds. With 0, it takes what has arrived after the first message."""
    if wait > 0:
        return consumer.consume(num_messages=size, timeout=wait)
    first = consumer.consume(num_messages=1, timeout=0.1)
    return first + consumer.consume(num_messages=size - 1, timeout=0) if first and size > 1 else first


def run(args: argparse.Namespace) -> None:
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    consumer = Consumer(
        {
            "bootstrap.servers": args.brokers,
            "group.id": args.group,
            "auto.offset.reset": "earliest",
            # A member learns of its partitions by a heartbeat.
            "heartbeat.interval.ms": 500,
            "enable.auto.offset.store": False,
            "enable.auto.commit": args.method != "one-by-one",
            "auto.commit.interval.ms": 1000,
        }
    )
    consumer.subscribe([args.topic])
    try:
        # Of the other methods, a single statement is the transaction.
        autocommit = args.method != "copy"
        with psycopg.connect(args.dsn, autocommit=autocommit) as connection, connection.cursor() as cursor:
            enricher = Enricher(connection)
            store, batch = METHODS[args.method], 1 if args.method == "one-by-one" else args.batch
            if args.method == "copy":
                cursor.execute(STAGED)
                connection.commit()
            while not stopping:
                messages = next_batch(consumer, batch, args.wait)
                if not messages:
                    continue
                orders = [decode(message) for message in messages]
                enricher.lookup(orders)
                store(cursor, [enricher.row(*order) for order in orders])
                connection.commit()
                consumer.store_offsets(offsets=offsets_after(messages))
                if args.method == "one-by-one":
                    consumer.commit(asynchronous=False)
    finally:
        consumer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True, help="HOST:PORT,…")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--dsn", required=True, help="postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    parser.add_argument("--method", choices=METHODS, default="copy")
    parser.add_argument("--batch", type=int, default=3000, help="maximum number of orders per batch")
    parser.add_argument("--wait", type=float, default=0.1, help="maximum time to fill a batch, in seconds; 0: none")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
