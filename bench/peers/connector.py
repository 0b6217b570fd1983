"""The way that readings went before: a connector in Python, written anew for comparison.

An ORM query of the window, an object for each row, grouping by sensor, one post with `requests`; called directly,
or as tasks through Celery and Redis, where the grouped readings travel from the task that reads to the task that
posts.

    connector.py direct START END
    connector.py celery START END      (a worker runs beside it: celery -A connector worker)
"""

import os
import sys
import time
from datetime import datetime

import requests
from celery import Celery
from sqlalchemy import Column, DateTime, Float, String, create_engine
from sqlalchemy.orm import declarative_base, sessionmaker

REDIS = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/15")
app = Celery("connector", broker=REDIS, backend=REDIS)

engine = create_engine(os.environ["DATABASE_URL"].replace("postgres://", "postgresql://"))
Session = sessionmaker(bind=engine)
Base = declarative_base()


class SensorData(Base):
    __tablename__ = os.environ["BENCH_TABLE"]

    sensor_id = Column(String, primary_key=True)
    timestamp = Column(DateTime(timezone=True), primary_key=True)
    value = Column(Float)


def read(start_time, end_time):
    with Session() as session:
        rows = (
            session.query(SensorData)
            .filter(
                SensorData.timestamp >= datetime.fromisoformat(start_time),
                SensorData.timestamp < datetime.fromisoformat(end_time),
            )
            .order_by(SensorData.timestamp)
            .all()
        )
        data = {}
        for row in rows:
            data.setdefault(row.sensor_id, []).append(
                {"timestamp": row.timestamp.isoformat(), "value": row.value}
            )
    return {"start_time": start_time, "end_time": end_time, "data": data}


def post(body):
    answer = requests.post(
        os.environ["POST_DATA_ENDPOINT"],
        json=body,
        headers={"Authorization": "Bearer " + os.environ["POST_DATA_API_KEY"]},
        timeout=600,
    )
    answer.raise_for_status()
    return sum(len(readings) for readings in body["data"].values())


@app.task(name="fetch")
def fetch(start_time, end_time):
    return deliver.delay(read(start_time, end_time)).id


@app.task(name="deliver")
def deliver(body):
    return post(body)


def peak_memory_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1000
    return 0


def main():
    way, start_time, end_time = sys.argv[1:]
    begun = time.perf_counter()
    if way == "direct":
        count = post(read(start_time, end_time))
    else:
        delivery = fetch.delay(start_time, end_time).get(timeout=600)
        count = app.AsyncResult(delivery).get(timeout=600)
    print(count, (time.perf_counter() - begun) * 1000, peak_memory_mb("self"))


if __name__ == "__main__":
    main()
