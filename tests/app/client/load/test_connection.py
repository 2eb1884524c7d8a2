import asyncio
from contextlib import suppress

from app.client.load.connection import Connection, Request


def test_a_connection_that_the_server_closed_while_it_was_idle_is_opened_again() -> None:
    async def scene() -> None:
        closed = asyncio.Event()

        async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\nimage")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine")
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            closed.set()

        server = await asyncio.start_server(answer_one, "127.0.0.1", 0)
        connection = Connection(server.sockets[0].getsockname()[1])
        for _ in range(3):
            assert (await connection.send(Request("/", b"image", {}))).body == b"fine"
            await closed.wait()
            closed.clear()
            await asyncio.sleep(0.05)  # until the end of the stream has come
        connection.close()
        server.close()

    asyncio.run(scene())


def test_a_connection_that_the_server_may_be_about_to_close_is_not_used_again() -> None:
    async def scene() -> None:
        opened, now = [], 100.0

        async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            opened.append(writer)
            with suppress(asyncio.IncompleteReadError):
                while await reader.readuntil(b"\r\n\r\nimage"):
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine")
            writer.close()

        server = await asyncio.start_server(answer_all, "127.0.0.1", 0)
        connection = Connection(server.sockets[0].getsockname()[1], lambda: now)
        for pause, connections in ((0.0, 1), (1.9, 1), (2.1, 2), (1.9, 2)):
            now += pause
            await connection.send(Request("/", b"image", {}))
            assert len(opened) == connections
        await connection.end()
        server.close()

    asyncio.run(scene())
