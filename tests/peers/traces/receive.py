"""A collector of traces, made of OpenTelemetry's own classes: it decodes what comes by OTLP over HTTP and tells each span as
a line of JSON. Given a number, it answers only after so many seconds."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

DELAY = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
SAYING = threading.Lock()


def attributes(of):
    told = {}
    for pair in of:
        kind = pair.value.WhichOneof("value")
        told[pair.key] = getattr(pair.value, kind)
        assert isinstance(told[pair.key], (str, int, float, bool)), pair
    return told


def tell(request):
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                assert len(span.trace_id) == 16 and len(span.span_id) == 8, span
                assert len(span.parent_span_id) in (0, 8), span
                assert span.start_time_unix_nano <= span.end_time_unix_nano, span
                line = {
                    "service": attributes(resource.resource.attributes).get("service.name"),
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": span.kind,
                    "status": span.status.code,
                    "begun": span.start_time_unix_nano,
                    "ended": span.end_time_unix_nano,
                    "attributes": attributes(span.attributes),
                    "events": [event.name for event in span.events],
                    "state": span.trace_state,
                }
                with SAYING:
                    print(json.dumps(line), flush=True)


class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        assert self.path == "/v1/traces", self.path
        assert self.headers["content-type"] == "application/x-protobuf", self.headers
        body = self.rfile.read(int(self.headers["content-length"]))
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)  # or an error
        time.sleep(DELAY)
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        tell(request)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
print(server.server_port, flush=True)
server.serve_forever()
