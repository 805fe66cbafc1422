#!/bin/bash
# Writes the code of proto/ below the folder OUT (aperture_tui/wire/*_pb2.py and their stubs), with grpcio-tools' protoc.
. "$(dirname "$0")/lib.sh"

[ $# -eq 1 ] || fail "usage: proto.sh OUT"
# The file is named by where its code goes, since protoc names that after it.
.venv/bin/python -m grpc_tools.protoc -I aperture_tui/wire/pprof.proto=proto/pprof/profile.proto \
	--python_out="$1" --pyi_out="$1" aperture_tui/wire/pprof.proto
