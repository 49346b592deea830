# shellcheck shell=bash
# Kafka: three nodes that are both broker and controller (KRaft), and the command line tools of Kafka.

readonly BROKERS=(1 2 3)

kafka_bootstrap() { # PORT...
  local servers
  printf -v servers ',127.0.0.1:%s' "$@"
  echo "${servers#,}"
}

# Written at each start, so that a change of kafka/server.properties takes effect. It has a password.
kafka_configure() ( # N
  umask 077
  local folder=$STATE/kafka-$1 voters='' n clients host=127.0.0.1 protocols
  local login=org.apache.kafka.common.security.plain.PlainLoginModule
  for n in "${BROKERS[@]}"; do voters+=${voters:+,}$n@$host:${CONTROLLER_PORTS[n - 1]}; done
  clients=PLAINTEXT://$host:${KAFKA_PORTS[$1 - 1]},SECURE://$host:${SECURE_PORTS[$1 - 1]}
  clients+=,TLS://$host:${TLS_PORTS[$1 - 1]}
  protocols=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,SECURE:SASL_SSL,TLS:SSL,CONTROLLER:PLAINTEXT
  cat - "$DEPLOY/kafka/server.properties" > "$folder/server.properties" <<- END
	listeners=$clients,PROXIED://$host:${PROXIED_PORTS[$1 - 1]},CONTROLLER://$host:${CONTROLLER_PORTS[$1 - 1]}
	advertised.listeners=$clients,PROXIED://$host:${PROXY_PORTS[$1 - 1]}
	listener.security.protocol.map=$protocols
	inter.broker.listener.name=PLAINTEXT
	controller.listener.names=CONTROLLER
	controller.quorum.voters=$voters
	node.id=$1
	log.dirs=$folder/data
	ssl.keystore.location=$STATE/tls/broker.pem
	ssl.truststore.location=$STATE/tls/ca.pem
	listener.name.secure.plain.sasl.jaas.config=$login required user_$KAFKA_USER="$KAFKA_PASSWORD";

	END
)

kafka_prepare() { # N
  local folder=$STATE/kafka-$1 mechanism
  local -a format=(format --cluster-id "$CLUSTER_ID" --config "$STATE/kafka-$1/server.properties")
  mkdir -p -m 700 "$folder"
  tls_prepare >> "$STATE/logs/kafka-$1.out" 2>&1
  kafka_configure "$1"
  [[ ! -e $folder/formatted ]] || return 0
  rm -rf "$folder/data" # left by a format that was interrupted
  # SCRAM passwords are stored in the metadata, unlike that of PLAIN.
  for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
    format+=(--add-scram "$mechanism=[name=$KAFKA_USER,password=$KAFKA_PASSWORD]")
  done
  (umask 077 && printf '%s\n' "${format[@]}" > "$folder/format.arguments")
  kafka_java "$KAFKA_QUICK" kafka.tools.StorageTool
  "${KAFKA_JAVA[@]}" "@$folder/format.arguments" >> "$STATE/logs/kafka-$1.out" 2>&1
  rm "$folder/format.arguments"
  touch "$folder/formatted"
}

# Options for a tool that runs for seconds: a small heap, a fast start.
readonly KAFKA_QUICK='-Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC'

kafka_java() { # OPTIONS CLASS → array KAFKA_JAVA, the start of a command line
  read -ra KAFKA_JAVA <<< "$1"
  KAFKA_JAVA=("$JAVA" "${KAFKA_JAVA[@]}" -Dlog4j2.configurationFile="$DEPLOY/kafka/log4j2-tools.xml" -cp "$JARS/*" "$2")
}

kafka_launch() { # N
  local -a more
  read -ra more <<< "${KAFKA_OPTS:-}"
  # With so small a heap, the serial collector takes less CPU time than G1, and a collection takes milliseconds.
  [[ ${KAFKA_OPTS:-} == *GC* ]] || more+=(-XX:+UseSerialGC)
  daemon "kafka-$1" "$STATE/kafka-$1" "$JAVA" ${more[@]+"${more[@]}"} -Xms384m -Xmx384m -Djava.awt.headless=true \
    -Dlog4j2.configurationFile="$DEPLOY/kafka/log4j2.xml" -Dorderflow.log="$STATE/logs/kafka-$1.log" \
    -cp "$JARS/*" kafka.Kafka "$STATE/kafka-$1/server.properties"
}

# Sends one request over a socket. A Kafka tool would need a second of CPU for the same, to start its JVM.
# A request has: length (4 bytes), API key and version (2 each), correlation id (4), client id (2: none), body.
kafka_request() { # PORT REQUEST → array RESPONSE, the bytes after the length: correlation id (4), body
  local fd length
  RESPONSE=()
  { exec {fd}<> "/dev/tcp/127.0.0.1/$1"; } 2> /dev/null || return 1
  # shellcheck disable=SC2059 # the request has escape sequences of printf
  printf "$2" >&"$fd"
  # The port of a container is open before its broker listens: such a connection is reset.
  length=$(timeout 2 head -c 4 <&"$fd" 2> /dev/null | od -An -tu4 --endian=big)
  mapfile -t RESPONSE < <(timeout 2 head -c $(( ${length:-0} )) <&"$fd" 2> /dev/null | od -An -v -w1 -tu1)
  exec {fd}>&-
  (( ${#RESPONSE[@]} > 9 ))
}

# Lists the live brokers in the metadata of the broker at PORT (Metadata, version 1, without topics). The body has the
# number of brokers (4), and for each its id (4), host (2, and 9 for "127.0.0.1"), port (4) and rack (2: none).
kafka_live_brokers() { # PORT → "1 2 3"
  local i at ids=''
  kafka_request "$1" '\0\0\0\016\0\003\0\001\0\0\0\001\377\377\0\0\0\0' || return 1
  for (( i = 0, at = 8; i < RESPONSE[7]; i++, at += 21 )); do ids+="${ids:+ }$(( RESPONSE[at + 3] ))"; done
  echo "$ids"
}

# A broker that was just started refuses idempotent producers until it has a block of producer ids, which it requests
# from the controller at the first InitProducerId. This sends that request (version 0, no transaction). The body has the
# throttle time (4) and the error (2).
kafka_has_producer_ids() { # PORT
  kafka_request "$1" '\0\0\0\020\0\026\0\0\0\0\0\001\377\377\377\377\0\0\165\060' &&
    (( RESPONSE[8] == 0 && RESPONSE[9] == 0 ))
}

# A broker is ready when it is in the metadata of all running brokers, its own included.
kafka_ready() { # N
  local n
  for n in "$1" "${BROKERS[@]}"; do
    is_state "kafka-$n" running || continue
    [[ " $(kafka_live_brokers "${KAFKA_PORTS[n - 1]}") " == *" $1 "* ]] || return 1
  done
  kafka_has_producer_ids "${KAFKA_PORTS[$1 - 1]}"
}

# With one of three controllers there is no quorum, and no broker becomes ready.
kafka_can_have_quorum() { # SERVICE...: the services that are being started
  local n count=0
  for n in "${BROKERS[@]}"; do
    if [[ " $* " == *" kafka-$n "* ]] || is_state "kafka-$n" running; then count=$(( count + 1 )); fi
  done
  (( count >= 2 ))
}

readonly KAFKA_TOOLS="
  kafka-broker-api-versions    org.apache.kafka.tools.BrokerApiVersionsCommand
  kafka-configs                kafka.admin.ConfigCommand
  kafka-console-consumer       org.apache.kafka.tools.consumer.ConsoleConsumer
  kafka-console-producer       org.apache.kafka.tools.ConsoleProducer
  kafka-consumer-groups        org.apache.kafka.tools.consumer.group.ConsumerGroupCommand
  kafka-consumer-perf-test     org.apache.kafka.tools.ConsumerPerformance
  kafka-delete-records         org.apache.kafka.tools.DeleteRecordsCommand
  kafka-features               org.apache.kafka.tools.FeatureCommand
  kafka-get-offsets            org.apache.kafka.tools.GetOffsetShell
  kafka-groups                 org.apache.kafka.tools.GroupsCommand
  kafka-leader-election        org.apache.kafka.tools.LeaderElectionCommand
  kafka-log-dirs               org.apache.kafka.tools.LogDirsCommand
  kafka-metadata-quorum        org.apache.kafka.tools.MetadataQuorumCommand
  kafka-producer-perf-test     org.apache.kafka.tools.ProducerPerformance
  kafka-reassign-partitions    org.apache.kafka.tools.reassign.ReassignPartitionsCommand
  kafka-topics                 org.apache.kafka.tools.TopicCommand
  kafka-transactions           org.apache.kafka.tools.TransactionsCommand
"

kafka_tool() { # NAME ARGS...
  local name=${1-} tool class options='-Xmx512m -XX:+UseParallelGC' # the fastest for a tool that sends all it can
  while read -r tool class; do
    [[ -z $tool || $tool != "$name" ]] || break
  done <<< "$KAFKA_TOOLS"
  [[ -n ${class:-} ]] || usage_error "kafka-tool requires one of: $(awk 'NF { printf "%s ", $1 }' <<< "$KAFKA_TOOLS")"
  shift
  [[ $name == *-perf-test ]] || options=$KAFKA_QUICK
  if [[ " $* " != *" --bootstrap-server"[\ =]* ]]; then
    set -- --bootstrap-server "$(kafka_bootstrap "${KAFKA_PORTS[@]}")" "$@"
  fi
  kafka_java "$options" "$class"
  exec "${KAFKA_JAVA[@]}" "$@"
}

run_kafka_tool() { # NAME ARGS...
  find_java || die "Java is not installed: '$ME install' installs it"
  find_jars || die "the jars of Kafka are not installed: '$ME install' installs them"
  kafka_tool "$@"
}
