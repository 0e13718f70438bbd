{{- define "joulecast.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "joulecast.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "joulecast.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "joulecast.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of an object of a part: include "joulecast.labels" (list $ "controller") */}}
{{- define "joulecast.labels" -}}
{{- $root := index . 0 -}}
{{ include "joulecast.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | quote }}
{{- end -}}

{{- define "joulecast.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "joulecast.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "joulecast.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ printf "%s@%s" .repository .digest }}
{{- else -}}
{{ printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The user name that the API server knows a ServiceAccount of ours by: include "joulecast.username" (list $ "controller") */}}
{{- define "joulecast.username" -}}
{{- $root := index . 0 -}}
{{- printf "system:serviceaccount:%s:%s-%s" $root.Release.Namespace (include "joulecast.fullname" $root) (index . 1) -}}
{{- end -}}

{{/* Kubernetes takes a Job that Helm ran away so long after its end, where Helm could not, because it was stopped itself. */}}
{{- define "joulecast.hookSecondsKept" -}}300{{- end -}}

{{- define "joulecast.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "joulecast.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Environment of every process. kopf asks for the user's name, which a bare UID does not have. */}}
{{- define "joulecast.env" -}}
- {name: USER, value: joulecast}
- {name: HOME, value: /tmp}
- name: JOULECAST_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- end -}}

{{- define "joulecast.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}

{{/* What both processes are told of their health and metrics ports. */}}
{{- define "joulecast.servingArguments" -}}
{{- if has (int .Values.metrics.port) (list (int .Values.metrics.healthPort) 9443) -}}
{{- fail (printf "metrics.port is %d, which metrics.healthPort or the webhook (9443) listens on already: give another port." (int .Values.metrics.port)) -}}
{{- else if eq (int .Values.metrics.healthPort) 9443 -}}
{{- fail "metrics.healthPort is 9443, which the webhook listens on already: give another port." -}}
{{- end -}}
- --health-port={{ .Values.metrics.healthPort }}
- --metrics-port={{ .Values.metrics.port }}
{{- if not .Values.metrics.secure }}
- --metrics-insecure=true
{{- else if include "joulecast.metricsSecret" . }}
- --metrics-certfile=/metrics-tls/tls.crt
- --metrics-keyfile=/metrics-tls/tls.key
{{- end }}
{{- end -}}

{{- define "joulecast.servingPorts" -}}
- {name: health, containerPort: {{ .Values.metrics.healthPort }}}
- {name: metrics, containerPort: {{ .Values.metrics.port }}}
{{- end -}}

{{/* The Secret with the certificate of /metrics, if it is not one that each process makes for itself. */}}
{{- define "joulecast.metricsSecret" -}}
{{- if .Values.metrics.secure -}}
{{- if .Values.metrics.certSecret -}}
{{ .Values.metrics.certSecret }}
{{- else if .Values.metrics.certManager.enabled -}}
{{ include "joulecast.fullname" . }}-metrics-tls
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Prometheus' usual annotations; a scrape of the secure port needs a token, which they cannot give. */}}
{{- define "joulecast.scrapeAnnotations" -}}
{{- if not .Values.metrics.secure }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .Values.metrics.port | quote }}
{{- end }}
{{- end -}}

{{/* Asking the API server who may get /metrics. */}}
{{- define "joulecast.metricsRules" -}}
{{- if .Values.metrics.secure }}
- apiGroups: [authentication.k8s.io]   # whose token a scrape of /metrics brings
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]    # and whether that account may
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end }}
{{- end -}}

{{- define "joulecast.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Where calibrations may run, as JSON. */}}
{{- define "joulecast.calibrationNamespaces" -}}
{{- .Values.calibration.namespaces | default (list .Release.Namespace) | uniq | toJson -}}
{{- end -}}

{{/* Whether the webhook runs inside the cluster. */}}
{{- define "joulecast.webhookInside" -}}
{{- if and .Values.webhook.enabled (not .Values.webhook.url) }}true{{ end -}}
{{- end -}}

{{/* Who makes the webhook's certificate: "controller", "cert-manager" or "secret"; nothing where it runs elsewhere or is off. */}}
{{- define "joulecast.certificateSource" -}}
{{- if include "joulecast.webhookInside" . -}}
{{- if .Values.webhook.certSecret -}}
secret
{{- else if .Values.webhook.certManager.enabled -}}
cert-manager
{{- else -}}
controller
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The Secret that the webhook's pods mount. */}}
{{- define "joulecast.certSecret" -}}
{{- $source := include "joulecast.certificateSource" . -}}
{{- if eq $source "secret" -}}
{{ .Values.webhook.certSecret }}
{{- else -}}
{{ include "joulecast.fullname" . }}-webhook-{{ eq $source "controller" | ternary "certificate" "tls" }}
{{- end -}}
{{- end -}}

{{/* A CEL expression that is true where a text is one of the patterns, a * at whose end stands for any more:
     include "joulecast.isListed" (list "expression of the text" $patterns) */}}
{{- define "joulecast.isListed" -}}
{{- $text := index . 0 -}}
{{- $terms := list "false" -}}
{{- range index . 1 -}}
{{- if hasSuffix "*" . -}}
{{- $terms = append $terms (printf "%s.startsWith(%s)" $text (trimSuffix "*" . | quote)) -}}
{{- else -}}
{{- $terms = append $terms (printf "%s == %s" $text (quote .)) -}}
{{- end -}}
{{- end -}}
({{ join " || " $terms }})
{{- end -}}

{{/* A CEL expression that is true where the toleration t is covered by one of the patterns KEY[=VALUE][:EFFECT] or *. */}}
{{- define "joulecast.isTolerated" -}}
{{- $terms := list "false" -}}
{{- range . -}}
{{- $taint := splitList ":" . -}}
{{- $pair := splitList "=" (first $taint) -}}
{{- $term := printf `t.?key.orValue("") == %s` (first $pair | quote) -}}
{{- if eq (len $pair) 2 -}}
{{- $term = printf `%s && t.?operator.orValue("Equal") == "Equal" && t.?value.orValue("") == %s` $term (last $pair | quote) -}}
{{- end -}}
{{- if eq (len $taint) 2 -}}
{{- $term = printf `%s && t.?effect.orValue("") == %s` $term (last $taint | quote) -}}
{{- end -}}
{{- $terms = append $terms (eq . "*" | ternary "true" (printf "(%s)" $term)) -}}
{{- end -}}
({{ join " || " $terms }})
{{- end -}}

{{/* Egress to the API server. Its addresses are those of the values, else those that the cluster's own Service
     `kubernetes` stands for at the time of the installation; where nothing is known, as in `helm template`, any address
     at the usual ports. A policy sees a packet before or after the Service's address is replaced, so both are allowed. */}}
{{- define "joulecast.apiServerEgress" -}}
{{- $cidrs := .Values.networkPolicy.apiServer.cidrs -}}
{{- $ports := list 443 6443 -}}
{{- if not $cidrs -}}
{{- $addresses := list -}}
{{- range (lookup "discovery.k8s.io/v1" "EndpointSlice" "default" "").items -}}
{{- if eq (get (.metadata.labels | default dict) "kubernetes.io/service-name") "kubernetes" -}}
{{- range .endpoints }}{{- $addresses = concat $addresses .addresses -}}{{- end -}}
{{- range .ports }}{{- $ports = append $ports (int .port) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if $addresses -}}
{{- with lookup "v1" "Service" "default" "kubernetes" -}}{{- $addresses = concat $addresses .spec.clusterIPs -}}{{- end -}}
{{- end -}}
{{- range $addresses | uniq | sortAlpha -}}
{{- $cidrs = append $cidrs (printf "%s/%s" . (contains ":" . | ternary "128" "32")) -}}
{{- end -}}
{{- end -}}
- ports:
    {{- range .Values.networkPolicy.apiServer.ports | default ($ports | uniq) }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with $cidrs }}
  to:
    {{- range . }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  {{- end }}
{{- end -}}

{{/* Name of the ConfigMap whose ca.crt holds the authorities of private registries; nothing where none is given. */}}
{{- define "joulecast.registryAuthority" -}}
{{- if and .Values.registry.caBundle .Values.registry.caConfigMap -}}
{{- fail "registry.caBundle and registry.caConfigMap are both set: give one of them." -}}
{{- else if .Values.registry.caBundle -}}
{{ include "joulecast.fullname" . }}-registry-ca
{{- else -}}
{{ .Values.registry.caConfigMap }}
{{- end -}}
{{- end -}}

{{/* calibration.allowed as JSON with every key, for one that is left out would have the controller's own default. */}}
{{- define "joulecast.allowed" -}}
{{- $given := .Values.calibration.allowed -}}
{{- $whole := dict -}}
{{- range list "images" "claims" "priorityClasses" "runtimeClasses" "queues" "tolerations" -}}
{{- $_ := set $whole . (get $given . | default list) -}}
{{- end -}}
{{- toJson $whole -}}
{{- end -}}
