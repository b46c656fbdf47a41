"""A Flask service that texts about an order, and whose answer says what has become of the text.

pip install paceline flask
export PACELINE_PROVIDER=vonage://KEY:SECRET@ PACELINE_FROM=+12025550100
flask --app flask_app run
curl localhost:5000/order/7/notify -H 'Content-Type: application/json' -d '{"phone": "+12065550123"}'
"""

from flask import Flask, jsonify, request

import paceline

app = Flask(__name__)
sms = paceline.Client(region="US", retry_seconds=5)  # one pool of connections for all threads

ANSWERS = [
    (paceline.InvalidNumber, 422, "not a number"),
    (paceline.OptedOut, 409, "this person does not want texts"),
    (paceline.Refused, 422, "never accepted as it is"),
    (paceline.Throttled, 503, "not sent; try again later"),
    (paceline.Unavailable, 503, "not sent; try again later"),
    (paceline.Uncertain, 504, "may have been sent; do not repeat"),
    (paceline.SenderProblem, 500, "not sent; our sender must be mended"),
    (paceline.AccountProblem, 500, "not sent; our account must be mended"),
]


@app.post("/order/<int:order>/notify")
def notify(order: int):
    phone = (request.get_json(silent=True) or {}).get("phone", "")
    try:
        sent = sms.send(f"Order #{order} is confirmed. Delivery in 2-4 days.", to=str(phone))
    except paceline.PacelineError as error:
        status, why = next((status, why) for kind, status, why in ANSWERS if isinstance(error, kind))
        app.logger.warning("Order %s: %s: %s", order, why, error)  # holds neither number nor text
        return jsonify(sent=None if status == 504 else False, why=why), status
    return jsonify(sent=True, id=sent.provider_id)
