package main

import (
	"context"
	"encoding/json"
	"sort"
	"time"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/wI2L/jsondiff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/discovery"
	"k8s.io/kube-openapi/pkg/util/proto"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const argoController = "argocd-controller" // the field manager of Argo CD's application controller

const schemaAttempts = 10

// argoLegacy does what Argo CD does unless told otherwise: a diff of manifest, live object and last applied
// configuration.
func argoLegacy(ctx context.Context, found *cluster, asked request) (answer, error) {
	return argo(ctx, found, asked)
}

// argoServer does what Argo CD does with ServerSideDiff=true: it compares a dry-run with the live object.
func argoServer(ctx context.Context, found *cluster, asked request) (answer, error) {
	return argoByDryRun(ctx, found, asked)
}

// argoMutations does what Argo CD does with IncludeMutationWebhook=true, too: what webhooks change is shown.
func argoMutations(ctx context.Context, found *cluster, asked request) (answer, error) {
	return argoByDryRun(ctx, found, asked, diff.WithIgnoreMutationWebhook(false))
}

func argoByDryRun(ctx context.Context, found *cluster, asked request, options ...diff.Option) (answer, error) {
	parser, err := schemaOf(found)
	if err != nil {
		return answer{}, err
	}
	runner := diff.WithServerSideDryRunner(dryRunner{found.client})
	options = append(options, diff.WithServerSideDiff(true), runner, diff.WithGVKParser(parser))
	return argo(ctx, found, asked, options...)
}

func argo(ctx context.Context, found *cluster, asked request, options ...diff.Option) (answer, error) {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(asked.Object.GroupVersionKind())
	if err := found.client.Get(ctx, client.ObjectKeyFromObject(asked.Object), live); err != nil {
		return answer{}, err
	}
	options = append(options, diff.WithManager(argoController), diff.WithNormalizer(pointers(asked.Ignore)))
	result, err := diff.Diff(asked.Object, live, options...)
	if err != nil {
		return answer{}, err
	}
	changes, err := jsondiff.CompareJSON(result.NormalizedLive, result.PredictedLive)
	if err != nil {
		return answer{}, err
	}
	said := answer{Differs: result.Modified, Changes: []string{}}
	for _, operation := range changes {
		said.Changes = append(said.Changes, operation.Type+" "+operation.Path)
	}
	sort.Strings(said.Changes)
	return said, nil
}

// dryRunner applies an object on the server as Argo CD's controller, without storing it.
type dryRunner struct{ client client.Client }

func (runner dryRunner) Run(ctx context.Context, object *unstructured.Unstructured, manager string) (string, error) {
	predicted := object.DeepCopy()
	options := []client.PatchOption{client.DryRunAll, client.ForceOwnership, client.FieldOwner(manager)}
	if err := runner.client.Patch(ctx, predicted, client.Apply, options...); err != nil {
		return "", err
	}
	content, err := json.Marshal(predicted)
	return string(content), err
}

// pointers are the jsonPointers of ignoreDifferences: what they name is removed from all that is compared.
type pointers []string

func (ignored pointers) Normalize(object *unstructured.Unstructured) error {
	operations := make([]map[string]string, len(ignored))
	for number, pointer := range ignored {
		operations[number] = map[string]string{"op": "remove", "path": pointer}
	}
	encoded, err := json.Marshal(operations)
	if err != nil {
		return err
	}
	patch, err := jsonpatch.DecodePatch(encoded)
	if err != nil {
		return err
	}
	content, err := json.Marshal(object.Object)
	if err != nil {
		return err
	}
	options := jsonpatch.NewApplyOptions()
	options.AllowMissingPathOnRemove = true
	content, err = patch.ApplyWithOptions(content, options)
	if err != nil {
		return err
	}
	object.Object = nil
	return json.Unmarshal(content, &object.Object)
}

func schemaOf(found *cluster) (*managedfields.GvkParser, error) {
	if found.schema != nil {
		return found.schema, nil
	}
	asker, err := discovery.NewDiscoveryClientForConfig(found.config)
	if err != nil {
		return nil, err
	}
	document, err := asker.OpenAPISchema()
	for attempt := 1; err != nil && attempt < schemaAttempts; attempt++ { // a busy server makes it for longer than it waits
		time.Sleep(time.Second)
		document, err = asker.OpenAPISchema()
	}
	if err != nil {
		return nil, err
	}
	models, err := proto.NewOpenAPIData(document)
	if err != nil {
		return nil, err
	}
	found.schema, err = managedfields.NewGVKParser(models, false)
	return found.schema, err
}
