{{/* True unless values say otherwise: `--reuse-values` from an older chart has no such values. */}}
{{- define "joulecast.writesProfileStatus" -}}
{{- if ne (get (.Values.profiles | default dict) "writeStatus" | toString) "false" }}true{{ end -}}
{{- end -}}

{{- define "joulecast.keepsDefinitions" -}}
{{- if ne (get (.Values.crds | default dict) "enabled" | toString) "false" }}true{{ end -}}
{{- end -}}

{{/* Rules in namespaces, which a ClusterRole gives in all of them, or a Role in each of watchNamespaces. */}}
{{- define "joulecast.controllerNamespacedRules" -}}
- apiGroups: [joulecast.dev]
  resources: [inferenceenergyestimates]
  verbs: [get, list, watch, create, delete]
- apiGroups: [joulecast.dev]
  resources: [energyplans]
  verbs: [get, list, watch]
- apiGroups: [joulecast.dev]
  resources: [inferenceenergyestimates/status, energyplans/status]
  verbs: [patch]
{{- $verbs := .Values.statusOnly | default false | ternary "[get, list, watch]" "[get, list, watch, patch]" }}
{{ include "joulecast.workloadRules" $verbs }}
{{ include "joulecast.customKindRules" . }}
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* The kinds that are annotated. The ValidatingAdmissionPolicy narrows patch to annotations of joulecast.dev/. */}}
{{- define "joulecast.workloadRules" -}}
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: {{ . }}
- apiGroups: [batch]
  resources: [jobs, cronjobs]
  verbs: {{ . }}
{{- end -}}

{{/* What joulecast reads where the cluster has it: the custom kinds that a targetRef may name, claims and queues. */}}
{{- define "joulecast.customKindRules" -}}
- apiGroups: [resource.k8s.io]   # which devices pods claim
  resources: [resourceclaims, resourceclaimtemplates]
  verbs: [get, list, watch]
- apiGroups: [kueue.x-k8s.io]   # on which nodes a queue places them
  resources: [localqueues]
  verbs: [get, list, watch]
- apiGroups: [serving.kserve.io]
  resources: [inferenceservices, llminferenceservices]
  verbs: [get, list, watch]
- apiGroups: [ray.io]
  resources: [rayservices]
  verbs: [get, list, watch]
- apiGroups: [leaderworkerset.x-k8s.io]
  resources: [leaderworkersets]
  verbs: [get, list, watch]
- apiGroups: [apps.nvidia.com]
  resources: [nimservices]
  verbs: [get, list, watch]
{{- end -}}

{{/* What is not in a namespace. */}}
{{- define "joulecast.controllerClusterRules" }}
- apiGroups: [joulecast.dev]
  resources: [acceleratorenergyprofiles, energysites]
  verbs: [get, list, watch]
{{- if include "joulecast.writesProfileStatus" . }}
- apiGroups: [joulecast.dev]
  resources: [acceleratorenergyprofiles/status, energysites/status]
  verbs: [patch]
{{- end }}
- apiGroups: [""]
  resources: [nodes]
  verbs: [get, list, watch]
- apiGroups: [resource.k8s.io]   # which devices pods may get by their claims
  resources: [deviceclasses, resourceslices]
  verbs: [get, list, watch]
- apiGroups: [kueue.x-k8s.io]
  resources: [clusterqueues, resourceflavors]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]   # Services' addresses, which no fetcher may connect to
  resources: [servicecidrs]
  verbs: [list]
{{- if not .Values.statusOnly }}
- apiGroups: [""]   # for the label joulecast.dev/annotations
  resources: [namespaces]
  {{- with .Values.watchNamespaces }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [get, list, watch]
{{- end }}
{{- include "joulecast.metricsRules" . }}
{{- if not .Values.watchNamespaces }}
{{ include "joulecast.controllerNamespacedRules" . }}
{{- end }}
{{- end }}

{{/* What the controller may in the release's own namespace. */}}
{{- define "joulecast.controllerHomeRules" }}
{{- $name := include "joulecast.fullname" . }}
- apiGroups: [""]   # coefficients that an AcceleratorEnergyProfile refers to, and figures of an EnergySite
  resources: [configmaps]
  verbs: [get]
{{- if .Values.watchNamespaces }}
- apiGroups: [apps]   # its own, which an uninstall writes to, and the webhook's, for events about the certificate
  resources: [deployments]
  resourceNames: [{{ $name }}-controller, {{ $name }}-webhook]
  verbs: [get, list, watch]
{{- if not .Values.statusOnly }}
- apiGroups: [apps]   # the answer to an uninstall
  resources: [deployments]
  resourceNames: [{{ $name }}-controller]
  verbs: [patch]
{{- end }}
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}
{{- end }}

{{- define "joulecast.calibrationClusterRules" }}
- apiGroups: [joulecast.dev]
  resources: [acceleratorenergyprofiles]
  verbs: [create, patch]
{{- if not .Values.watchNamespaces }}
{{ include "joulecast.calibrationNamespacedRules" . }}
{{- end }}
{{- end }}

{{- define "joulecast.calibrationNamespacedRules" -}}
- apiGroups: [joulecast.dev]
  resources: [energycalibrations]
  verbs: [get, list, watch]
- apiGroups: [joulecast.dev]
  resources: [energycalibrations/status]
  verbs: [patch]
{{- end -}}

{{- define "joulecast.webhookNamespacedRules" -}}
- apiGroups: [joulecast.dev]
  resources: [inferenceenergyestimates, energyplans]
  verbs: [get, list, watch]
{{- end -}}

{{- define "joulecast.uninstallNamespacedRules" -}}
{{ include "joulecast.workloadRules" "[list, patch]" }}
{{- end -}}

{{- define "joulecast.uninstallHomeRules" -}}
- apiGroups: [apps]   # to ask the controller to stop writing
  resources: [deployments]
  resourceNames: [{{ include "joulecast.fullname" . }}-controller]
  verbs: [list, patch]
{{- end -}}

{{/* A role and its binding to an account of the release:
     include "joulecast.boundRole" (dict "root" $ "part" "controller" "name" $name "namespace" "" "rules" $rules)
     A Role in `namespace`, or a ClusterRole where that is empty; `annotations` are those of both. */}}
{{- define "joulecast.boundRole" -}}
{{- $kind := .namespace | empty | ternary "ClusterRole" "Role" -}}
{{- range $each := list $kind (printf "%sBinding" $kind) }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $each }}
metadata:
  name: {{ $.name }}
  {{- with $.namespace }}
  namespace: {{ . }}
  {{- end }}
  labels: {{- include "joulecast.labels" (list $.root $.part) | nindent 4 }}
  {{- with $.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- if eq $each $kind }}
rules: {{- $.rules | trim | nindent 2 }}
{{- else }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ $.name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "joulecast.fullname" $.root }}-{{ $.part }}
    namespace: {{ $.root.Release.Namespace }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What both processes are told of where they work. */}}
{{- define "joulecast.watchArguments" -}}
{{- with .Values.watchNamespaces }}
- --namespaces={{ join "," . }}
{{- end }}
{{- end -}}

{{/* Annotations of a release's ClusterRole, by which another release sees what it does. */}}
{{- define "joulecast.releaseMarks" -}}
joulecast.dev/watches: {{ .Values.watchNamespaces | join "," | default "*" | quote }}
joulecast.dev/writes-profile-status: {{ include "joulecast.writesProfileStatus" . | default "false" | quote }}
{{- end -}}

{{/* Refuses what cannot work in this cluster. Without a cluster, as in `helm template`, there is nothing to look at. */}}
{{- define "joulecast.checkCluster" -}}
{{- $root := . -}}
{{- if lookup "v1" "Namespace" "" "kube-system" -}}
{{- range .Values.watchNamespaces -}}
{{- if and (ne . $root.Release.Namespace) (not (lookup "v1" "Namespace" "" .)) -}}
{{- fail (printf "watchNamespaces names the namespace %q, which does not exist: create it first (kubectl create namespace %s), or take it off the list." . .) -}}
{{- end -}}
{{- end -}}
{{- range (lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" "").items -}}
{{- $marks := .metadata.annotations | default dict -}}
{{- $release := get $marks "meta.helm.sh/release-name" -}}
{{- $home := get $marks "meta.helm.sh/release-namespace" -}}
{{- if and (hasKey $marks "joulecast.dev/watches") (ne (list $release $home | toJson) (list $root.Release.Name $root.Release.Namespace | toJson)) -}}
{{- include "joulecast.checkRelease" (list $root $marks $release $home) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuses what another release of the cluster does already. */}}
{{- define "joulecast.checkRelease" -}}
{{- $root := index . 0 -}}
{{- $marks := index . 1 -}}
{{- $other := printf "the release %q of the namespace %q" (index . 2) (index . 3) -}}
{{- $watches := get $marks "joulecast.dev/watches" -}}
{{- if or (eq $watches "*") (not $root.Values.watchNamespaces) -}}
{{- fail (printf "%s watches %s, and this one would watch %s: two controllers would write the same objects; give each release namespaces of its own in watchNamespaces." $other (eq $watches "*" | ternary "all namespaces" $watches) ($root.Values.watchNamespaces | join "," | default "all namespaces")) -}}
{{- end -}}
{{- range splitList "," $watches -}}
{{- if has . $root.Values.watchNamespaces -}}
{{- fail (printf "%s watches the namespace %q already: take it off watchNamespaces of one of the two." $other .) -}}
{{- end -}}
{{- end -}}
{{- if and (include "joulecast.writesProfileStatus" $root) (eq (get $marks "joulecast.dev/writes-profile-status") "true") -}}
{{- fail (printf "%s writes the status of AcceleratorEnergyProfiles and EnergySites already: set profiles.writeStatus=false, because one release of a cluster does that." $other) -}}
{{- end -}}
{{- if include "joulecast.keepsDefinitions" $root -}}
{{- $crd := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "inferenceenergyestimates.joulecast.dev" -}}
{{- $owner := dig "metadata" "annotations" "meta.helm.sh/release-name" "" $crd -}}
{{- $ownerHome := dig "metadata" "annotations" "meta.helm.sh/release-namespace" "" $crd -}}
{{- if and (eq $owner (index . 2)) (eq $ownerHome (index . 3)) -}}
{{- fail (printf "%s keeps the CustomResourceDefinitions: set crds.enabled=false, because one release of a cluster keeps them." $other) -}}
{{- end -}}
{{- end -}}
{{- end -}}
