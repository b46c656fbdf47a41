"""A FastAPI service that texts, with one pool of connections for its whole life.

export PACELINE_PROVIDER=vonage://KEY:SECRET@ PACELINE_FROM=+12025550100
uvicorn fastapi_app:app
"""

from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

import paceline


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with paceline.AsyncClient(retry_seconds=5) as app.state.sms:
        yield


app = FastAPI(lifespan=lifespan)


class Notice(BaseModel):  # in the body: what stands in an address stands in access logs
    phone: str
    text: str


@app.post("/notify")
async def notify(notice: Notice):
    try:
        sent = await app.state.sms.send(notice.text, to=notice.phone)
    except (paceline.InvalidNumber, paceline.Refused) as never:
        raise HTTPException(422, str(never)) from never
    except paceline.Uncertain as unknown:
        raise HTTPException(504, "may have been sent; do not repeat") from unknown
    except (paceline.Throttled, paceline.Unavailable) as later:
        raise HTTPException(503, "not sent; try again later") from later
    return {"id": sent.provider_id, "segments": sent.segments}
